"""Which sites do not answer, told once when it begins and once when it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass

from metadata.errors import LoginNeededError, MiddlewareError, TransientError
from metadata.journal import Page


@dataclass(kw_only=True)
class _Silence:
    kind: str
    message: str
    since: float


class Silences:
    """The sites of one run that are in trouble."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._silences: dict[str, _Silence] = {}

    def note(self, site: str, error: MiddlewareError, page: Page) -> None:
        """A site gave no answer, or a wrong one."""
        kind, before = _kind(error), self._silences.get(site)
        if before is not None and (before.kind, before.message) == (kind, error.message):
            return
        since = before.since if before else time.time()
        self._silences[site] = _Silence(kind=kind, message=error.message, since=since)
        page.event(self._run_id, kind, site, error.message)

    def end(self, site: str, page: Page) -> None:
        """A site answered."""
        silence = self._silences.pop(site, None)
        if silence is not None:
            page.event(self._run_id, "site.answers", site, f"after {time.time() - silence.since:.1f} s")


def _kind(error: MiddlewareError) -> str:
    if isinstance(error, LoginNeededError):
        return "site.login"
    return "site.silent" if isinstance(error, TransientError) else "site.trouble"
