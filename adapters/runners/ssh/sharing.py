"""One connection for everybody in this program who goes to the same site as the same user."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from adapters.runners.ssh.link import Link
from adapters.runners.ssh.login import Prompter
from adapters.runners.ssh.settings import SshSettings


@dataclass(kw_only=True)
class _Share:
    link: Link
    users: int = 0


_shares: dict[SshSettings, _Share] = {}
_changing = threading.Lock()


def borrow_link(settings: SshSettings, prompter: Prompter | None) -> Link:
    """The link that these settings mean, the same one for all who ask. A prompter given once serves all of them."""
    with _changing:
        share = _shares.setdefault(settings, _Share(link=Link(settings)))
        share.users += 1
        share.link.prompter = prompter or share.link.prompter
        return share.link


def give_back_link(settings: SshSettings) -> None:
    """The connection ends when nobody uses it any more."""
    with _changing:
        share = _shares[settings]
        share.users -= 1
        if share.users == 0:
            del _shares[settings]
            share.link.close()
