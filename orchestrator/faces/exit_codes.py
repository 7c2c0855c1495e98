"""What each error means outside: the exit code of a command, and the status of an HTTP answer.

This is the only table of its kind. A class that is not named here counts as its nearest parent.
"""

from __future__ import annotations

from dataclasses import dataclass

from metadata import errors


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the table."""

    exit_code: int
    http_status: int
    meaning: str


OK = Outcome(exit_code=0, http_status=200, meaning="done")
FAILED = Outcome(exit_code=1, http_status=200, meaning="the run, or a check, failed")
INVALID = Outcome(exit_code=2, http_status=422, meaning="wrong usage, or a file that cannot be understood")
NOT_FOUND = Outcome(exit_code=3, http_status=404, meaning="nothing has that name")
CONFLICT = Outcome(exit_code=4, http_status=409, meaning="it does not fit the present state")
FORBIDDEN = Outcome(exit_code=5, http_status=403, meaning="a data policy forbids it")
UNPLANNABLE = Outcome(exit_code=6, http_status=422, meaning="no site can do it")
SITE = Outcome(exit_code=7, http_status=502, meaning="a site refused or broke")
STAGING = Outcome(exit_code=8, http_status=502, meaning="data did not arrive, or are not what they were")
NO_ADAPTER = Outcome(exit_code=9, http_status=501, meaning="an adapter, or its library, is missing")
FAULT = Outcome(exit_code=70, http_status=500, meaning="a fault in Convoy itself; the traceback was kept")
TRY_AGAIN = Outcome(exit_code=75, http_status=503, meaning="try again later")
INTERRUPTED = Outcome(exit_code=130, http_status=499, meaning="interrupted; the jobs go on")

ALL = (
    OK, FAILED, INVALID, NOT_FOUND, CONFLICT, FORBIDDEN, UNPLANNABLE, SITE, STAGING, NO_ADAPTER, FAULT, TRY_AGAIN,
    INTERRUPTED,
)  # fmt: skip

BY_ERROR: dict[type[BaseException], Outcome] = {
    errors.TransientError: TRY_AGAIN,
    errors.InvalidInputError: INVALID,
    errors.NotFoundError: NOT_FOUND,
    errors.ConflictError: CONFLICT,
    errors.PolicyError: FORBIDDEN,
    errors.PlanningError: UNPLANNABLE,
    errors.SiteError: SITE,
    errors.StagingError: STAGING,
    errors.AdapterUnavailableError: NO_ADAPTER,
    errors.MiddlewareError: FAILED,
    KeyboardInterrupt: INTERRUPTED,
}

BY_STATE: dict[str, Outcome] = {"COMPLETED": OK, "FAILED": FAILED, "CANCELED": FAILED}
"""How a run's last state ends the command that carried it out. A state that is not here is not the last one."""


def outcome_of(error: BaseException) -> Outcome:
    """The line of the table for an error; one that Convoy did not foresee is its own fault.

    >>> outcome_of(errors.IntegrityError("changed")).exit_code
    8
    """
    return next((BY_ERROR[kind] for kind in type(error).__mro__ if kind in BY_ERROR), FAULT)
