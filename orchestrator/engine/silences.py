"""What a run waits for: sites that do not answer, told once at either end, and what people hold back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from metadata.errors import LoginNeededError, MiddlewareError, TransientError
from metadata.journal import RUNS, Page

_WORDS = {
    "site.login": "waiting for a login at {site}: convoy site login {site}",
    "site.silent": "waiting for {site}, which does not answer",
    "site.trouble": "waiting for {site}, which is in trouble: convoy site test {site}",
}
_TROUBLE_S = 10.0
"""Until a site that cannot even say what it has is asked again."""


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
        self._rests_until: dict[str, float] = {}
        self._paused = 0

    def note(self, site: str, error: MiddlewareError, page: Page) -> None:
        """A site gave no answer, or a wrong one."""
        wait_s = error.retry_after_s if isinstance(error, TransientError) else _TROUBLE_S
        self._rests_until[site] = time.monotonic() + wait_s
        kind, before = _kind(error), self._silences.get(site)
        if before is not None and (before.kind, before.message) == (kind, error.message):
            return
        since = before.since if before else time.time()
        self._silences[site] = _Silence(kind=kind, message=error.message, since=since)
        page.event(self._run_id, kind, site, error.message)
        self._tell(page)

    def rests(self, site: str) -> bool:
        """True while a site is better not asked again: each question holds up the others while it lasts."""
        return self._rests_until.get(site, 0.0) > time.monotonic()

    def end(self, site: str, page: Page) -> None:
        """A site answered."""
        self._rests_until.pop(site, None)
        silence = self._silences.pop(site, None)
        if silence is not None:
            page.event(self._run_id, "site.answers", site, f"after {time.time() - silence.since:.1f} s")
            self._tell(page)

    def pause(self, transfers: int, page: Page) -> None:
        """So many transfers wait because people want that."""
        if transfers != self._paused:
            self._paused = transfers
            self._tell(page)

    def _tell(self, page: Page) -> None:
        """The run says what it waits for, so that every face shows it."""
        words = [_WORDS[silence.kind].format(site=site) for site, silence in sorted(self._silences.items())]
        if self._paused:
            words.append(f"{self._paused} transfer{'s are' if self._paused > 1 else ' is'} paused: convoy transfer ls")
        page.update(RUNS, self._run_id, message="; ".join(words))


def _kind(error: MiddlewareError) -> str:
    if isinstance(error, LoginNeededError):
        return "site.login"
    return "site.silent" if isinstance(error, TransientError) else "site.trouble"
