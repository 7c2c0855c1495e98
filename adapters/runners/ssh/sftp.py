"""SFTP over the connection that commands use: one login of a person serves transfers too."""

from __future__ import annotations

from contextlib import ExitStack

from paramiko import SFTPClient, SSHException

from adapters.runners.ssh.link import Link
from metadata.errors import SiteUnavailableError


class SftpSession(SFTPClient):
    """An SFTP session that holds one of the link's places until it is closed."""

    def __init__(self, link: Link, *, deadline: float) -> None:
        """deadline: in time.monotonic()'s seconds. Raises SiteUnavailableError, and what `Link.connect` raises."""
        with ExitStack() as opening:
            channel = opening.enter_context(link.channel(deadline=deadline))
            try:
                channel.invoke_subsystem("sftp")
                super().__init__(channel)
            except (SSHException, EOFError, OSError) as error:
                site = link.settings.site
                raise SiteUnavailableError(f"site '{site}' offers no SFTP: {error}", site=site) from error
            self._held = opening.pop_all()

    def close(self) -> None:
        """The session and its place are given up."""
        super().close()
        self._held.close()
