"""Has files moved by the Globus Transfer service, between two of its collections.

Tested against the answers that Globus publishes for its SDK, and never against the service itself.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from staging.ports import Capabilities, Direction, Endpoint, MoveRequest, MoveResult, Progress, Prompter

if TYPE_CHECKING:
    from adapters.movers._globus.login import GlobusLogin

if find_spec("globus_sdk") is None:
    raise ModuleNotFoundError("No module named 'globus_sdk'", name="globus_sdk")

_POLL_S = 2.0


class GlobusMover:
    """One Globus task for all files of a request, between two doors `globus`.

    A door says `collection` (its UUID) and `path`, the folder of the site that the collection shows as its root (`/`
    when it shows all); `data_access: "true"` where the collection wants to be named in the consent. Globus encrypts on
    the way, chooses streams, compares checksums of its own and tries again by itself; files that lie whole at the
    destination are not sent again.
    """

    capabilities = Capabilities(
        start_s=10.0,
        schemes=frozenset({"globus"}),
        directions=frozenset({Direction.PUSH, Direction.PULL, Direction.THIRD_PARTY}),
        batches=True,
        encrypted=True,
    )

    def __init__(self, *, login: GlobusLogin | None = None, poll_s: float = _POLL_S) -> None:
        self._login = login
        self._poll_s = poll_s

    @property
    def login(self) -> GlobusLogin:
        """The login that is used; for those who log people in. Raises StagingError where no client is named."""
        from adapters.movers._globus.login import GlobusLogin  # noqa: PLC0415 - the SDK takes a while to import

        self._login = self._login or GlobusLogin.find()
        return self._login

    def log_in(self, endpoint: Endpoint, prompter: Prompter) -> None:
        """A person has let Convoy in at Globus, where that was still to be done; `prompter` asked for the code.

        A door with `data_access: "true"` has its collection named in the consent, as standard collections want it and
        others refuse it. Raises StagingError (no client), InvalidInputError (a wrong code).
        """
        door = endpoint.doors["globus"]
        named = [door["collection"]] if door.get("data_access") == "true" else []
        self.login.ask(endpoint.site, named, prompter)

    def log_out(self) -> None:
        """The login is revoked at Globus and forgotten here, for all sites. Raises SiteUnavailableError."""
        self.login.revoke()

    def move(self, request: MoveRequest, *, progress: Progress) -> MoveResult:
        """All bytes of every source lie at its partial path, as Globus says."""
        from adapters.movers._globus import tasks  # noqa: PLC0415 - the SDK takes a while to import

        return tasks.move(self.login, request, progress, poll_s=self._poll_s)


ADAPTER = GlobusMover
