"""A submission that arrives late does nothing.

A command can begin long after its sender died: it waits in a cut cable, or for a scheduler that restarts. While one is
on its way, no search tells whether its job will be there in the end. So a submission needs a permit, a file at the site
that is used up in the instant before the scheduler is called; whoever searches takes all unused permits away first, and
waits for the calls that have begun. After that the search's answer is the last word.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from metadata.errors import SiteUnavailableError
from orchestrator.ports import Argv, CommandResult, CommandRunner

# The note comes before the permit is used up: a search sees the one or the other.
_SUBMIT = """\
permit=$1 script=$2
shift 2
uname -n >"$script.sending"
if mv -- "$permit" "$script" 2>/dev/null; then "$@"; code=$?; else code=75; echo "$0: withdrawn" >&2; fi
rm -f -- "$script.sending"
exit "$code"
"""

# A call that a crash ended leaves its note behind. On another login node nobody can see whether it lives: it had time.
_WITHDRAW = """\
cd -- "$1" 2>/dev/null || exit 0
rm -f -- *.permit
lives() {
  if [ "$(cat -- "$1")" = "$(uname -n)" ]; then pgrep -f "${1%.sending}" >/dev/null
  else [ -n "$(find "$1" -mmin -2)" ]; fi
}
patience=250
for note in *.sending; do
  while [ -e "$note" ] && lives "$note" 2>/dev/null; do
    patience=$((patience - 1))
    [ "$patience" -gt 0 ] || exit 75
    sleep 0.2
  done
  rm -f -- "$note"
done"""
_NAME = "convoy-submit"
_WITHDRAW_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The right to submit one script once."""

    path: PurePosixPath
    """Where the script has to be put: the file is the permit."""
    script: PurePosixPath
    """Where it lies when the scheduler reads it."""

    def use(self, runner: CommandRunner, command: Argv, *, timeout_s: float) -> CommandResult:
        """What the scheduler's own command answered. Raises SiteUnavailableError when the permit was withdrawn."""
        words = ("/bin/sh", "-c", _SUBMIT, _NAME, str(self.path), str(self.script), *command)
        result = runner.run(words, timeout_s=timeout_s)
        if result.exit_code == 75 and f"{_NAME}: withdrawn" in result.stderr:
            raise SiteUnavailableError("a search for jobs came before this submission; it is made anew", argv=command)
        return replace(result, argv=command)


def new_permit(folder: PurePosixPath, name: str) -> Permit:
    """A permit for a script in `folder`, that nobody has given before."""
    base = f"{name}.{secrets.token_hex(4)}.sh"
    return Permit(path=folder / f"{base}.permit", script=folder / base)


def withdraw_permits(runner: CommandRunner, folder: PurePosixPath) -> None:
    """No submission from `folder` is under way, and none that was sent before will begin.

    Raises SiteUnavailableError when one goes on for longer than a minute.
    """
    result = runner.run(("/bin/sh", "-c", _WITHDRAW, _NAME, str(folder)), timeout_s=_WITHDRAW_S)
    if result.exit_code:
        words = result.stderr.strip() or "it still goes on"
        raise SiteUnavailableError(f"an earlier submission has not come to its end: {words}", argv=result.argv)
