"""How a job's script tells of its end, beside what the scheduler says: shell text out, a status in. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath

from metadata.errors import InvalidJobError, SiteError
from orchestrator.jobs import JobSpec, JobState, JobStatus, Token
from orchestrator.scripts import parse_outputs, render_job

# Where `date` knows no %N it prints the letters, which the time is then read without.
NOW = "$(date +%s.%N)"
"""The shell word for the time."""

WRITE = """\
words=
[ ! -s "$log" ] || words=$(tail -n 1 -- "$log" | tr '\\t' ' ')
{
  printf '%s\\n' "$subject" &&
    printf 'ended\\t%s\\t%s\\t%s\\t%s\\t%s\\n' "$code" "$started" "$ended" "$node" "$words" &&
    { [ ! -f "$outputs" ] || cat -- "$outputs"; }
} >"$receipt.part" && mv -f -- "$receipt.part" "$receipt" && { [ ! -f "$outputs" ] || rm -f -- "$outputs"; }
"""
"""Shell lines that write `$receipt`. Set before: what `render_accountable` sets, and $log (the job's own troubles),
$code, $started, $ended and $node. Without room for all of it there is no receipt."""

_TIME = r"(\d+(?:\.\d+)?)[^\t]*"
_ENDED = re.compile(rf"ended\t(\d+)\t{_TIME}\t{_TIME}\t([^\t]*)\t(.*)")


def render_accountable(spec: JobSpec, *, outputs_path: PurePosixPath) -> str:
    """Shell text that defines `convoy_job`, makes the folders of its streams, and sets $subject and $outputs.

    Raises InvalidJobError for what no shell can carry, and for a directory that is not absolute.
    """
    if not spec.directory.is_absolute():
        raise InvalidJobError(f"job {spec.token}: its directory {str(spec.directory)!r} must be an absolute path")
    subject = json.dumps({"token": spec.token, "directory": str(spec.directory)})
    parents = sorted({str((spec.directory / path).parent) for path in (spec.stdout_path, spec.stderr_path)})
    return "".join(
        (
            f"subject={shlex.quote(subject)}\n",
            f"outputs={shlex.quote(str(outputs_path))}\n",
            f"mkdir -p -- {shlex.join(parents)}\n",
            render_job(spec, outputs_path=outputs_path),
        )
    )


def parse_receipt(text: str) -> JobStatus:
    """What a script of ours wrote when its job ended.

    Raises SiteError for anything else, and where runners had to replace what is no UTF-8: that is another file's name.
    """
    subject, _, rest = text.partition("\n")
    ended, _, outputs = rest.partition("\n")
    match = _ENDED.fullmatch(ended)
    try:
        told = json.loads(subject)
        directory, token = PurePosixPath(told["directory"]), Token(told["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise SiteError(f"the receipt of a job cannot be read: {text[:200]!r}") from error
    if match is None:
        raise SiteError(f"the receipt of a job in {directory} cannot be read: {ended[:200]!r}")
    if "\ufffd" in outputs:
        raise SiteError(f"the receipt of a job in {directory} cannot be read: it left names that are no UTF-8")
    code = int(match[1])
    return JobStatus(
        state=JobState.FAILED if code else JobState.COMPLETED,
        native_state="receipt",
        token=token,
        exit_code=code,
        message=match[5],
        started_at=float(match[2]),
        ended_at=float(match[3]),
        node=match[4],
        outputs=parse_outputs(outputs, directory),
    )


def told(receipt: str, *, parse: Callable[[str], JobStatus] = parse_receipt) -> JobStatus:
    """The end of a job by its receipt. One that cannot be read is its own trouble, and not that of others there."""
    try:
        return parse(receipt)
    except SiteError as error:
        return JobStatus(state=JobState.FAILED, native_state="receipt", message=error.message)
