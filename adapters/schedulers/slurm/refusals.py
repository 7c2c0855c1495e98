"""What sbatch and its kin say when they fail, and whose turn it is then. Pure."""

from __future__ import annotations

import re

from metadata.errors import InvalidJobError, MiddlewareError, SiteError, SiteUnavailableError, TransientError
from orchestrator.ports import CommandResult

FULL_QUEUE_RETRY_S = 60.0

# The controller may have taken the job although its answer got lost.
_UNREACHABLE = re.compile(
    r"socket timed out|timed out on send/recv|unable to contact slurm controller|zero bytes were transmitted"
    r"|communication connection failure|connection (refused|timed out|reset)|transport endpoint is not connected"
    r"|controller.*standby|slurmctld.*not responding|unexpected message received|no route to host"
    r"|host is unreachable|protocol authentication error|munge.*(encode|decode) failed|persistent connection",
    re.IGNORECASE,
)
_FULL = re.compile(
    r"(Assoc|QOS)\w*Submit\w*|temporarily unable to accept job|resource temporarily unavailable"
    r"|too many (jobs|tasks)|reached.*MaxJobCount",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"(invalid|unknown).*(partition|account|generic resource|gres|feature|qos|wckey|license|reservation"
    r"|job array|dependency|memory specification|node count|time|trackable resource)"
    r"|(partition|account|qos|reservation|time limit).*(is )?invalid|node configuration is not available"
    r"|(memory|node count) specification|accounting/QOS policy|(Assoc|QOS)(Max|Grp|Min)\w+|unrecognized option"
    r"|invalid argument|more processors requested|dependency problem|too large|script.*(line|missing|empty)",
    re.IGNORECASE,
)
_UNKNOWN_JOB = re.compile(r"invalid job id|already completing|already completed|job.*already finished", re.IGNORECASE)
_NO_ACCOUNTS = re.compile(r"accounting storage is disabled|accounting_storage/none", re.IGNORECASE)


def words_of(result: CommandResult) -> str:
    """What the tool said, without its own name before each line."""
    said = result.stderr.strip() or result.stdout.strip() or "nothing"
    return "; ".join(re.sub(r"^s\w+: (error: )?(?=\D)", "", line).strip() for line in said.splitlines() if line.strip())


def unreachable(result: CommandResult) -> bool:
    """True when the controller did not answer the tool."""
    return bool(_UNREACHABLE.search(result.stderr))


def nothing_known(result: CommandResult) -> bool:
    """True when the tool failed only because it knows none of the jobs, or keeps no accounts."""
    return bool(_UNKNOWN_JOB.search(result.stderr) or _NO_ACCOUNTS.search(result.stderr))


def failure(result: CommandResult) -> MiddlewareError:
    """The error for a tool that failed to answer a question."""
    words = words_of(result)
    if unreachable(result):
        return SiteUnavailableError(f"Slurm does not answer: {words}", argv=result.argv, exit_code=result.exit_code)
    return SiteError(f"Slurm failed: {words}", argv=result.argv, exit_code=result.exit_code)


def refusal(result: CommandResult) -> MiddlewareError:
    """The error for an sbatch that failed."""
    words, argv, code = words_of(result), result.argv, result.exit_code
    if unreachable(result):
        message = f"sbatch got no answer, the job may have been accepted: {words}"
        return SiteUnavailableError(message, argv=argv, exit_code=code)
    if _FULL.search(result.stderr):
        message = f"the site takes no more jobs now: {words}"
        return TransientError(message, retry_after_s=FULL_QUEUE_RETRY_S, argv=argv, exit_code=code)
    if _WRONG.search(result.stderr):
        return InvalidJobError(f"sbatch refused the job: {words}", argv=argv, exit_code=code)
    return SiteError(f"sbatch failed: {words}", argv=argv, exit_code=code)
