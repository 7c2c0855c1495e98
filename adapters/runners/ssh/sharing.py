"""What everybody in this program has in common who goes to the same site as the same user."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from adapters.runners.ssh.gate import Gate
from adapters.runners.ssh.questions import Prompter
from adapters.runners.ssh.settings import SshSettings
from adapters.runners.ssh.shared_login import SharedLogin

if TYPE_CHECKING:
    from adapters.runners.ssh.link import Link


class Share:
    """The two ways to a site: the login that a person opened, and this program's own connection. Thread-safe."""

    def __init__(self, settings: SshSettings) -> None:
        places = max(1, settings.max_sessions // 2)  # movers go through the same login
        self.login = SharedLogin(settings=settings, gate=Gate(site=settings.site, places=places))
        self.users = 0
        self.prompter: Prompter | None = None
        """Serves all users."""
        self._settings = settings
        self._link: Link | None = None
        self._making = threading.Lock()

    @property
    def connected(self) -> bool:
        """Whether the own connection is open, as far as is known."""
        return self._link is not None and self._link.connected

    @property
    def link(self) -> Link:
        """The own connection, which opens with the first command on it."""
        # The libraries behind it take 0.1 s to load, which a program that asks nothing of the site, or goes by a
        # person's login, shall not pay.
        from adapters.runners.ssh.link import Link  # noqa: PLC0415

        with self._making:
            if self._link is None:
                self._link = Link(self._settings)
            self._link.prompter = self.prompter
            return self._link

    def close(self) -> None:
        """The own connection is over; the login stays."""
        if self._link is not None:
            self._link.close()


_shares: dict[SshSettings, Share] = {}
_changing = threading.Lock()


def borrow_share(settings: SshSettings, prompter: Prompter | None) -> Share:
    """The share that these settings mean, the same one for all who ask. A prompter given once serves all of them."""
    with _changing:
        share = _shares.get(settings)
        if share is None:
            share = _shares[settings] = Share(settings)
        share.users += 1
        share.prompter = prompter or share.prompter
        return share


def give_back_share(settings: SshSettings) -> None:
    """The connection ends when nobody uses it any more."""
    with _changing:
        share = _shares[settings]
        share.users -= 1
        if share.users == 0:
            del _shares[settings]
            share.close()
