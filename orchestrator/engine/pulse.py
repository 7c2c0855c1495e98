"""When to look at what: APScheduler's clock wakes the engine, sooner after a change, later when nothing happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

QUICK_S = 0.5
SLOW_S = 30.0
_GROWTH = 1.5

logging.getLogger("apscheduler").setLevel(logging.ERROR)


class Pulse:
    """Calls back at intervals, from a thread of its own."""

    def __init__(self) -> None:
        self._clock = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(2)})
        self._intervals: dict[str, float] = {}
        self._clock.start()

    def every(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """`call` is called every so many seconds."""
        self._clock.add_job(
            call, "interval", seconds=seconds, id=name, coalesce=True, max_instances=1, misfire_grace_time=None
        )

    def adapt(self, name: str, call: Callable[[], None], *, changed: bool) -> None:
        """`call` is called once more: after half a second when something changed, else later and later up to 30 s."""
        before = self._intervals.get(name, QUICK_S)
        self._intervals[name] = QUICK_S if changed else min(SLOW_S, before * _GROWTH)
        moment = datetime.now(UTC) + timedelta(seconds=self._intervals[name])
        self._clock.add_job(call, "date", run_date=moment, id=name, replace_existing=True, misfire_grace_time=None)

    def stop(self) -> None:
        """Nothing is called any more."""
        self._clock.shutdown(wait=False)
