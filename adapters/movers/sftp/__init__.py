"""SFTP through paramiko: the way that is there wherever a person can log in, and slower than the others.

copying    what is copied from where to where
places     a file system here, or there behind SFTP
reading    many reads of a file on their way at once
sessions   SFTP over the connection that the site's commands use, or over a login of OpenSSH's
"""

from __future__ import annotations

from staging.ports import Capabilities, Direction, MoveRequest, MoveResult, Progress


class SftpMover:
    """One file after the other, many requests of each at once; a partial file is gone on with."""

    capabilities = Capabilities(
        schemes=frozenset({"file", "ssh"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY}),
        resumes=True,
        encrypted=True,
        limits_rate=True,
    )

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path; what lies on this machine is hashed."""
        # paramiko takes a tenth of a second to import, and every command that plans asks what this mover can do.
        from adapters.movers.sftp.copying import copy  # noqa: PLC0415

        return copy(request, progress)


ADAPTER = SftpMover
