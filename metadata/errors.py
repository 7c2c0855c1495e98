"""Every error that Convoy raises on purpose.

    MiddlewareError
    ├── TransientError            trying again may help (`retry_after_s` says when)
    │   ├── SiteUnavailableError      a site did not answer
    │   │   └── LoginNeededError          a person has to log in first; jobs wait
    │   ├── TransferInterruptedError  a copy broke off; what arrived is kept and resumed
    │   └── EngineBusyError           another engine works on this database
    └── PermanentError            trying again gives the same answer
        ├── InvalidInputError         the caller's file or argument is wrong; says file:line:column
        │   ├── InvalidWorkflowError
        │   ├── InvalidSiteError
        │   └── InvalidJobError
        ├── NotFoundError             nothing has this name
        ├── ConflictError             the request does not fit the present state
        ├── PolicyError               the data's owner forbids it
        ├── PlanningError             no site can do it
        ├── SiteError                 a site refused or broke
        ├── StagingError              data could not be brought where it is needed
        │   ├── IntegrityError            bytes differ from what the catalogue says
        │   └── NoSpaceError              the destination is full
        └── AdapterUnavailableError   the adapter is unknown or its library is not installed

Whether trying again helps is a type, so that nobody has to read a message to decide it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class MiddlewareError(Exception):
    """Something went wrong that Convoy foresaw; the message says what, where, why and what to do."""

    def __init__(
        self,
        message: str,
        *,
        site: str | None = None,
        native_id: str | None = None,
        argv: tuple[str, ...] | None = None,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.site = site
        self.native_id = native_id
        self.argv = argv
        self.exit_code = exit_code

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-ready fields, the same for every face."""
        fields = {"site": self.site, "native_id": self.native_id, "exit_code": self.exit_code}
        known = {key: value for key, value in fields.items() if value is not None}
        return {"error": type(self).__name__, "message": self.message, **known}


class TransientError(MiddlewareError):
    """Trying again may help."""

    def __init__(self, message: str, *, retry_after_s: float = 5.0, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retry_after_s = retry_after_s


class PermanentError(MiddlewareError):
    """Trying again gives the same answer."""


class SiteUnavailableError(TransientError):
    """A site did not answer in time."""


class LoginNeededError(SiteUnavailableError):
    """A person has to log in (a code, a passphrase, a fresh certificate) before anything can be done here."""

    def __init__(self, message: str, *, retry_after_s: float = 2.0, **fields: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **fields)


class TransferInterruptedError(TransientError):
    """A copy broke off before its end; what arrived is kept for the next try."""


class EngineBusyError(TransientError):
    """Another engine holds this database's lease."""


@dataclass(frozen=True, kw_only=True)
class SourcePosition:
    """A place in a text file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class InvalidInputError(PermanentError):
    """What the caller wrote is wrong; `position` says where."""

    def __init__(self, message: str, *, position: SourcePosition | None = None, **fields: Any) -> None:
        super().__init__(f"{position}: {message}" if position else message, **fields)
        self.position = position


class InvalidWorkflowError(InvalidInputError):
    """A workflow file says something that cannot be carried out."""


class InvalidSiteError(InvalidInputError):
    """A site file says something that cannot be used."""


class InvalidJobError(InvalidInputError):
    """A job asks for something that its site cannot express."""


class NotFoundError(PermanentError):
    """Nothing has the name that was asked for."""


class ConflictError(PermanentError):
    """The request does not fit the present state."""


class PolicyError(PermanentError):
    """The owner of the data forbids what was asked."""


class PlanningError(PermanentError):
    """No site can carry out a step."""


class SiteError(PermanentError):
    """A site refused a request or broke while carrying it out."""


class StagingError(PermanentError):
    """Data could not be brought to where it is needed."""


class IntegrityError(StagingError):
    """Bytes differ from what the catalogue says they are."""


class NoSpaceError(StagingError):
    """The destination has no room left."""


MAKE_ROOM = "free some space there, then try again (a run: convoy retry)"
"""What people can do then."""


def no_room(site: str, words: str) -> NoSpaceError:
    """A site is full, in these words."""
    return NoSpaceError(f"{site}: {words}; {MAKE_ROOM}", site=site)


class AdapterUnavailableError(PermanentError):
    """No adapter has this name, or a library that it needs is not installed."""
