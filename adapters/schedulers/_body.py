"""The part of a batch script that no scheduler cares about, and the receipt that it leaves. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import InvalidJobError
from orchestrator.jobs import JobSpec
from orchestrator.receipts import NOW, WRITE, render_accountable

# Each copy learns its number; the first exit code that is not 0 is that of the job.
_COPIES = (
    'n=$1; shift; i=0; while [ "$i" -lt "$n" ]; do CONVOY_PROCESS=$i "$@" & pids="$pids $!"; i=$((i + 1)); done; '
    'code=0; for pid in $pids; do wait "$pid" || { c=$?; [ "$code" -ne 0 ] || code=$c; }; done; exit "$code"'
)

# A scheduler that lost its memory in a crash may start a job once more that has ended already.
_RUN = """\
CONVOY_JOB={native_id}
export CONVOY_JOB
receipt={receipts}/$CONVOY_JOB
if [ "$(head -n 1 -- "$receipt" 2>/dev/null)" = "$subject" ]; then
  exit "$(sed -n 2p -- "$receipt" | cut -f 2)"
fi
log=$receipt.log
node=$(uname -n)
mkdir -p -- {receipts} && rm -f -- "$receipt"
started={now}
{call}
ended={now}
{write}rm -f -- "$log"
exit "$code"
"""

_CALL = """\
convoy_job 2>"$log"
code=$?"""

# A shell that waits for a program in the foreground hears no signal. In the background, as a process group of its
# own, the whole tree can be sent what the scheduler sent to the shell alone. Without a terminal only bash does that.
# The group's own shell hears it too and must live on; a trap, unlike an ignored signal, is not handed down.
_CALL_WITH_SIGNALS = """\
set -m
(trap : HUP INT USR1 USR2 TERM; convoy_job) 2>"$log" &
child=$!
set +m
for signal in HUP INT USR1 USR2 TERM; do trap "heard=$signal; kill -$signal -- -$child 2>/dev/null" "$signal"; done
heard=first
while [ -n "$heard" ]; do
  heard=
  wait "$child"
  code=$?
done"""


def interpreter(*, signals: bool) -> str:
    """The first line of a script."""
    return "#!/bin/bash\n" if signals else "#!/bin/sh\n"


def render_body(
    specs: Sequence[JobSpec], *, receipts: PurePosixPath, native_id: str, index: str = "", signals: bool = False
) -> str:
    """The shell text that carries out one job, or the element of an array that the shell word `index` names.

    `native_id` is the shell word that gives the job's id while it runs; programs find it in $CONVOY_JOB. With
    `signals` the program also hears what the scheduler sends to the script alone.
    """
    folder = shlex.quote(str(receipts))
    call = _CALL_WITH_SIGNALS if signals else _CALL
    run = _RUN.format(receipts=folder, native_id=native_id, call=call, now=NOW, write=WRITE)
    if not index:
        return _element(specs[0], receipts) + run
    cases = "".join(f"{number})\n{_element(spec, receipts)};;\n" for number, spec in enumerate(specs))
    return f"case {index} in\n{cases}esac\n{run}"


def _element(spec: JobSpec, receipts: PurePosixPath) -> str:
    return render_accountable(spec, outputs_path=receipts / f"{spec.token.replace('/', '%2F')}.outputs")


def with_launcher(spec: JobSpec, *, srun: tuple[str, ...] = ()) -> JobSpec:
    """The job with its launcher in front of its command; `srun` is what that launcher means here, if anything."""
    count = str(spec.resources.process_count)
    launchers: dict[str, tuple[str, ...]] = {
        "single": (),
        "multiple": ("/bin/sh", "-c", _COPIES, "sh", count),
        "mpirun": ("mpirun", "-n", count),
    }
    if srun:
        launchers["srun"] = srun
    if spec.launcher not in launchers:
        known = ", ".join(launchers)
        raise InvalidJobError(
            f"job {spec.token}: the launcher {spec.launcher!r} is not known here{hint(spec.launcher, launchers)}; "
            f"there are {known}"
        )
    words = (*launchers[spec.launcher], *spec.argv)
    return replace(spec, executable=words[0], arguments=words[1:])


def hint(word: str, known: Sequence[str] | dict[str, Any] | frozenset[str]) -> str:
    """`, did you mean ...?` when a known word is near, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def alike(first: JobSpec, second: JobSpec) -> bool:
    """True when one request for resources fits both."""
    mine = (first.resources, first.attributes, first.launcher)
    return mine == (second.resources, second.attributes, second.launcher)


def split_alike(specs: Sequence[JobSpec]) -> Iterator[list[JobSpec]]:
    """The jobs in groups of like ones, in their order."""
    groups: list[list[JobSpec]] = []
    for spec in specs:
        for group in groups:
            if alike(group[0], spec):
                group.append(spec)
                break
        else:
            groups.append([spec])
    yield from groups
