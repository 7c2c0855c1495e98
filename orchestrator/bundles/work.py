"""The script that every worker of a bundle runs. Pure."""

from __future__ import annotations

import math
import shlex
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from orchestrator.bundles.members import Bundle, render_spec, worker
from orchestrator.jobs import Token
from orchestrator.receipts import NOW, WRITE, render_accountable
from orchestrator.scripts import NO_DIRECTORY

MEMBER_LINE = "# member "
"""How a member's token stands in the script."""

WORKER_LINE = "# worker "
"""How its first worker stands in the script."""

# A scheduler that ends a job sends SIGTERM to all its processes: the program dies of it, and that is not its own end.
# So nothing is written down of it then, and the scheduler's word for the worker's end is taken for the member's.
# The program may hear it before its worker does: after a signal the worker waits for its own.
_WORK = """\
bundle={folder}
me=${{CONVOY_JOB:?}}
mkdir -p -- "$bundle/claims" "$bundle/receipts" "$bundle/started" "$bundle/logs" || exit {no_directory}
log=$bundle/logs/$me
node=$(uname -n)
now={now}
until_s=$((${{now%%.*}} + {target_s}))
told=
trap 'told=1' TERM
trap : HUP INT USR1 USR2

carry_out() {{
  member "$1"
  receipt=$bundle/receipts/$1
  started=$now
  convoy_job 2>"$log"
  code=$?
  [ "$code" -le 128 ] || [ -n "$told" ] || sleep 1
  [ -z "$told" ] || exit 143
  now={now}
  ended=$now
{write}}}

# Two look at once: the member is the one's whose link it is. (A server may also answer "exists" to its own success.)
claim() {{
  ln -sn -- "$me" "$bundle/claims/$1" 2>/dev/null || [ "$(readlink -- "$bundle/claims/$1")" = "$me" ]
}}

if ! mkdir -- "$bundle/started/$me" 2>/dev/null; then
  # The scheduler starts this worker again: what it was at begins anew, what has a receipt is done.
  n=0
  while [ "$n" -le {last} ]; do
    if [ -h "$bundle/claims/$n" ] && [ ! -e "$bundle/receipts/$n" ] && [ ! -e "$bundle/canceled/$n" ] &&
      [ "$(readlink -- "$bundle/claims/$n")" = "$me" ]; then
      carry_out "$n"
    fi
    n=$((n + 1))
  done
fi
n=0
while [ "$n" -le {last} ] && [ "${{now%%.*}}" -lt "$until_s" ] && [ -z "$told" ]; do
  if [ ! -h "$bundle/claims/$n" ] && [ ! -e "$bundle/canceled/$n" ] && claim "$n"; then
    # Who cancels writes that down before looking at the claims: one of the two sees the other.
    if [ -e "$bundle/canceled/$n" ]; then rm -f -- "$bundle/claims/$n"; else carry_out "$n"; fi
  fi
  n=$((n + 1))
done
[ -z "$told" ] || exit 143
exit 0
"""


def render_work(bundle: Bundle, folder: PurePosixPath) -> str:
    """The script, with who is in the bundle at its head. Raises InvalidJobError for what no shell can carry."""
    first = f"{WORKER_LINE}{render_spec(worker(bundle.specs[0], folder))}\n"
    tokens = "".join(f"{token_line(spec.token)}\n" for spec in bundle.specs)
    cases = "".join(
        f"{number})\n{render_accountable(spec, outputs_path=folder / 'receipts' / f'{number}.outputs')};;\n"
        for number, spec in enumerate(bundle.specs)
    )
    work = _WORK.format(
        folder=shlex.quote(str(folder)),
        no_directory=NO_DIRECTORY,
        now=NOW,
        target_s=math.ceil(bundle.target_s),
        write=WRITE,
        last=len(bundle.specs) - 1,
    )
    return f"{first}{tokens}member() {{\ncase $1 in\n{cases}esac\n}}\n{work}"


def token_line(token: Token) -> str:
    """The line by which a member is found in the script of its bundle."""
    return MEMBER_LINE + quote(token, safe="", errors="surrogateescape")


def parse_token_line(line: str) -> Token:
    """The member that a line names."""
    return Token(unquote(line.removeprefix(MEMBER_LINE), errors="surrogateescape"))
