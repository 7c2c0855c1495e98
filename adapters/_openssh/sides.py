"""Where something is done: this machine or a site behind an SSH door, and how a script runs there."""

from __future__ import annotations

import shlex
import subprocess
import threading
from dataclasses import dataclass

from adapters._openssh.doors import Door
from adapters._openssh.errors import failure
from adapters._openssh.logins import shared_words
from adapters._openssh.programs import running
from metadata.errors import StagingError
from staging.ports import Direction, Endpoint, MoveRequest

_LONGEST_S = 600.0
"""A site whose file system hangs answers nothing, and its sshd is well all the while."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Where a script can run."""

    site: str
    door: Door | None
    """None: this machine."""
    login: int = 0
    """Which of several logins at the door is used."""

    @property
    def host(self) -> str:
        """The site's name for OpenSSH. An assertion of ours when the side is this machine."""
        assert self.door is not None  # noqa: S101
        return self.door["host"]

    def words(self) -> list[str]:
        """What ssh, scp and sftp need to come here. Raises SiteUnavailableError or StagingError."""
        assert self.door is not None  # noqa: S101
        return shared_words(self.site, self.door, number=self.login)

    def argv(self, script: str, *arguments: str) -> list[str]:
        """The program on this machine that runs a script of /bin/sh there; `$1` and so on are its arguments."""
        if self.door is None:
            return shell_words(script, *arguments)
        return ["ssh", *self.words(), "--", self.host, shell_line(script, *arguments)]

    def run(self, script: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """What a short script said. Raises the error that its failure means."""
        with running(self.argv(script, *arguments), stdin=subprocess.PIPE) as program:
            ending = threading.Timer(_LONGEST_S, program.kill)
            ending.start()
            program.feed(stdin)
            answer = program.stdout.read()
            code = program.wait()
            ending.cancel()
            if code:
                raise failure(self.site, program.words(), code)
        return answer


def shell_words(script: str, *arguments: str) -> list[str]:
    """A script as a program of this machine."""
    return ["/bin/sh", "-c", script, "sh", *arguments]


def shell_line(script: str, *arguments: str) -> str:
    """A script as the one line that sshd gives to the user's shell: the only place where words are quoted for it."""
    return f"exec {shlex.join(shell_words(script, *arguments))}"


def sides_of(request: MoveRequest) -> tuple[Side, Side]:
    """Source and destination. Raises StagingError when a site has no SSH door."""
    here_first = request.direction is Direction.PUSH
    here_last = request.direction is Direction.PULL
    return _side(request.source, here=here_first), _side(request.destination, here=here_last)


def _side(endpoint: Endpoint, *, here: bool) -> Side:
    if here:
        return Side(site=endpoint.site, door=None)
    if "ssh" not in endpoint.doors:
        raise StagingError(
            f"{endpoint.site} cannot be reached by SSH; another mover may be able to", site=endpoint.site
        )
    return Side(site=endpoint.site, door=endpoint.doors["ssh"])
