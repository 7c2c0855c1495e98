"""When to look at what: APScheduler's clock wakes the engine, sooner after a change, later when nothing happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

QUICK_S = 0.25
SLOW_S = 30.0
_GROWTH = 1.5
_MANY = 1000


class Pulse:
    """Calls back at intervals, from a thread of its own, once it was started; until then it keeps what it is told."""

    def __init__(self) -> None:
        self._clock: BackgroundScheduler | None = None
        self._intervals: dict[str, float] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """The clock runs."""
        if self._clock is None:
            self._clock = _clock()
            for name, job in self._kept.items():
                self._clock.add_job(id=name, **job)
            self._clock.start()

    def every(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """`call` is called every so many seconds."""
        self._call(name, func=call, trigger="interval", seconds=seconds, coalesce=True, max_instances=1)

    def adapt(self, name: str, call: Callable[[], None], *, changed: bool) -> None:
        """`call` is called once more: a quarter of a second after a change, else later and later up to 30 s."""
        before = self._intervals.get(name, QUICK_S)
        self._intervals[name] = QUICK_S if changed else min(SLOW_S, before * _GROWTH)
        moment = datetime.now(UTC) + timedelta(seconds=self._intervals[name])
        # A call of which APScheduler thinks that there is one too many is never made, and nobody would ask again.
        self._call(name, func=call, trigger="date", run_date=moment, max_instances=_MANY)

    def stop(self) -> None:
        """Nothing is called any more."""
        if self._clock is not None:
            # A clock that is told to stop while it looks for a job that is due stumbles over it.
            self._clock.remove_all_jobs()
            self._clock.shutdown(wait=False)

    def _call(self, name: str, **job: Any) -> None:
        job["misfire_grace_time"] = None
        if self._clock is None:
            self._kept[name] = job
        else:
            self._clock.add_job(id=name, replace_existing=True, **job)


def _clock() -> BackgroundScheduler:
    # Slow to load, and a run that is over within a second does without.
    from apscheduler.executors.pool import ThreadPoolExecutor  # noqa: PLC0415
    from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415

    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    return BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(2)})
