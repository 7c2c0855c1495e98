"""Slurm's words for where a job stands, and ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.jobs import JobState

_S = JobState

# Every base state and flag of the manual pages of 22.05 to 25.05, under both its long and its short name.
_WORDS: dict[str, tuple[str, JobState]] = {
    "BOOT_FAIL": ("BF", _S.FAILED),
    "CANCELLED": ("CA", _S.CANCELED),
    "COMPLETED": ("CD", _S.COMPLETED),
    # The program has ended and its nodes are being cleaned: how it ended is not told yet.
    "COMPLETING": ("CG", _S.ACTIVE),
    # Nodes are booting for it; nothing of it runs.
    "CONFIGURING": ("CF", _S.QUEUED),
    "DEADLINE": ("DL", _S.FAILED),
    "EXPEDITING": ("EX", _S.QUEUED),
    "FAILED": ("F", _S.FAILED),
    "LAUNCH_FAILED": ("LF", _S.FAILED),
    "NODE_FAIL": ("NF", _S.FAILED),
    "OUT_OF_MEMORY": ("OOM", _S.FAILED),
    "PENDING": ("PD", _S.QUEUED),
    "POWER_UP_NODE": ("PU", _S.QUEUED),
    "PREEMPTED": ("PR", _S.FAILED),
    "RECONFIG_FAIL": ("RCF", _S.FAILED),
    "REQUEUED": ("RQ", _S.QUEUED),
    "REQUEUE_FED": ("RF", _S.QUEUED),
    "REQUEUE_HOLD": ("RH", _S.QUEUED),
    "RESIZING": ("RS", _S.ACTIVE),
    "RESV_DEL_HOLD": ("RD", _S.QUEUED),
    # A cluster of the federation gave it up because another one started it: from here nobody can say more.
    "REVOKED": ("RV", _S.UNKNOWN),
    "RUNNING": ("R", _S.ACTIVE),
    "SIGNALING": ("SI", _S.ACTIVE),
    # Put back into the queue, and held there, by the exit code that the site chose for it.
    "SPECIAL_EXIT": ("SE", _S.QUEUED),
    "STAGE_OUT": ("SO", _S.STAGE_OUT),
    "STOPPED": ("ST", _S.ACTIVE),
    "SUSPENDED": ("S", _S.ACTIVE),
    "TIMEOUT": ("TO", _S.FAILED),
}

STATES: dict[str, JobState] = {name: state for long, (short, state) in _WORDS.items() for name in (long, short)}

_EXPLAINED: dict[str, str] = {
    "BOOT_FAIL": "its node did not boot",
    "DEADLINE": "it could not end before its deadline",
    "LAUNCH_FAILED": "its node could not start it",
    "NODE_FAIL": "a node of it failed",
    "OUT_OF_MEMORY": "it used more memory than it asked for",
    "PREEMPTED": "a job of higher priority took its place",
    "TIMEOUT": "it ran longer than it asked for",
}


# The program did nothing wrong and may be started again.
_INTERRUPTED = frozenset({"BOOT_FAIL", "LAUNCH_FAILED", "NODE_FAIL", "PREEMPTED", "RECONFIG_FAIL"})


def interrupted(words: Sequence[str]) -> bool:
    """True when the site ended a job for a reason of its own."""
    named = {short: long for long, (short, _) in _WORDS.items()}
    return any(named.get(word, word) in _INTERRUPTED for word in map(_plain, words))


def parse_state(words: Sequence[str]) -> JobState:
    """Our state for a base state and its flags.

    >>> str(parse_state(["CANCELLED by 0"])), str(parse_state(["PENDING", "REQUEUED"]))
    ('CANCELED', 'QUEUED')
    >>> str(parse_state(["HIBERNATING"]))
    'UNKNOWN'
    """
    plain = [_plain(word) for word in words]
    if not plain or plain[0] not in STATES:
        return JobState.UNKNOWN
    # A flag says more than the base state; one that is not known says nothing.
    return [STATES[word] for word in plain if word in STATES][-1]


def explain(words: Sequence[str], reason: str) -> str:
    """A sentence for people, from the state and the scheduler's reason."""
    told = next((_EXPLAINED[word] for word in map(_plain, words) if word in _EXPLAINED), "")
    reason = "" if reason in {"None", "(null)", "n/a"} else reason
    return f"{told} ({reason})" if told and reason else told or reason


def _plain(word: str) -> str:
    # "CANCELLED by 1001" names who did it; "CANCELLED+" was cut to the width of a column.
    return word.split(" ", 1)[0].rstrip("+")
