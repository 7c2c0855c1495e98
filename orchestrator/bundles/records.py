"""What stands in the folders of bundles, read in one journey. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from orchestrator.bundles.work import MEMBER_LINE, parse_token_line, token_line
from orchestrator.jobs import NativeId, Token
from orchestrator.ports import Argv

_CLAIM = re.compile(r"(\d+) -> (\S+)$", re.MULTILINE)

# A line of standard input names a bundle and the members whose receipts are wanted. Each part of the answer is
# announced by a line that no file can hold by chance; grep puts a receipt's name before each of its lines. Folders are
# opened before files in them are looked for: only then NFS asks its server whether there are new ones.
_READ = """\
mark=$1; cd -- "$2" 2>/dev/null || exit 0
while read -r name numbers; do
  [ -d "$name" ] || continue
  for part in started canceled retired; do echo "$mark $name $part"; ls -- "$name/$part" 2>/dev/null; done
  echo "$mark $name claims"; LC_ALL=C ls -l -- "$name/claims" 2>/dev/null
  echo "$mark $name workers"; cat -- "$name/workers" 2>/dev/null
  echo "$mark $name receipts"
  true 2>/dev/null <"$name/receipts"
  [ ! -d "$name/receipts" ] || (cd -- "$name/receipts" && LC_ALL=C exec grep -aHs '' $numbers /dev/null)
done
exit 0"""

_FIND = """\
mark=$1; cd -- "$2" 2>/dev/null || exit 0
LC_ALL=C grep -rlFx --include=work.sh -f - . | while read -r file; do
  name=${file%/*}; name=${name##*/}
  echo "$mark $name tokens"; LC_ALL=C grep -a "^$3" "$file"
  echo "$mark $name started"; ls -- "$name/started" 2>/dev/null
  echo "$mark $name workers"; cat -- "$name/workers" 2>/dev/null
done
exit 0"""


@dataclass(kw_only=True)
class Record:
    """A bundle as its folder tells it."""

    size: int = 0
    """How many members it has; 0 when that is not written down yet."""
    workers: tuple[NativeId, ...] = ()
    """All whom it ever had, as far as is known."""
    started: frozenset[NativeId] = frozenset()
    retired: frozenset[NativeId] = frozenset()
    """Workers that were taken back because nothing was left for them."""
    claims: Mapping[int, NativeId] = field(default_factory=dict)
    """Which worker took which member."""
    canceled: frozenset[int] = frozenset()
    receipts: Mapping[int, str] = field(default_factory=dict)
    """Of the members that were asked for."""
    tokens: tuple[Token, ...] = ()
    """Its members, in order; told only when a bundle is searched for."""

    @property
    def waiting(self) -> list[NativeId]:
        """Workers that have not begun, as far as they know themselves.

        One that began between the look at those who did and the look at the claims shows in the latter.
        """
        begun = self.started | self.retired | frozenset(self.claims.values())
        return [native_id for native_id in self.workers if native_id not in begun]

    @property
    def all_taken(self) -> bool:
        """Whether nothing is left that a worker might take."""
        return 0 < self.size <= len(self.claims.keys() | self.canceled)

    def doomed(self, numbers: Iterable[int]) -> list[NativeId]:
        """The workers that must end for the sake of these members, which were canceled; all receipts must be known.

        When nothing is left to take that is all but those at other members: one between two members may not see yet
        that the next one was canceled.
        """
        open_claims = {number: worker for number, worker in self.claims.items() if number not in self.receipts}
        at_these = [open_claims[number] for number in numbers if number in open_claims]
        busy = {worker for number, worker in open_claims.items() if number not in self.canceled}
        idle = [native_id for native_id in self.workers if native_id not in self.retired | busy]
        return list(dict.fromkeys([*at_these, *(idle if self.all_taken else [])]))


def read_command(root: PurePosixPath, mark: str) -> Argv:
    """The question; `read_input` goes with it."""
    return ("/bin/sh", "-c", _READ, "sh", mark, str(root))


def read_input(wanted: Mapping[str, Iterable[int]]) -> str:
    """Bundles, and the members whose receipts are wanted."""
    return "".join(f"{name} {' '.join(map(str, numbers))}\n" for name, numbers in wanted.items())


def find_command(root: PurePosixPath, mark: str) -> Argv:
    """The question which bundles hold one of some tokens; `find_input` goes with it."""
    return ("/bin/sh", "-c", _FIND, "sh", mark, str(root), MEMBER_LINE)


def find_input(tokens: Iterable[Token]) -> str:
    """The tokens as they stand in the scripts."""
    return "".join(f"{token_line(token)}\n" for token in tokens)


def parse_records(text: str, mark: str) -> dict[str, Record]:
    """The answer to either question, by bundle."""
    records: dict[str, Record] = {}
    parts = re.split(rf"(?m)^{mark} (\S+) (\w+)\n", text)
    for name, part, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        _take(records.setdefault(name, Record()), part, body)
    return records


def _take(record: Record, part: str, body: str) -> None:
    lines = body.splitlines()
    if part == "started":
        record.started = frozenset(map(NativeId, lines))
    elif part == "retired":
        record.retired = frozenset(map(NativeId, lines))
    elif part == "canceled":
        record.canceled = frozenset(int(line) for line in lines if line.isdigit())
    elif part == "claims":
        record.claims = {int(number): NativeId(worker) for number, worker in _CLAIM.findall(body)}
    elif part == "tokens":
        record.tokens = tuple(map(parse_token_line, lines))
    elif part == "workers":
        record.size = int(lines[0]) if lines else 0
        # Those that were submitted when the answer got lost tell of themselves when they start, or by what they took.
        known = map(NativeId, lines[1:])
        record.workers = tuple(dict.fromkeys((*known, *sorted(record.started), *record.claims.values())))
    else:
        record.receipts = dict(_receipts(body))


def render_workers(size: int, workers: Iterable[NativeId]) -> str:
    """The file `workers` of a bundle with so many members."""
    return "".join(f"{line}\n" for line in (size, *workers))


def _receipts(body: str) -> Iterator[tuple[int, str]]:
    whole: dict[int, list[str]] = {}
    for line in body.split("\n"):
        number, colon, rest = line.partition(":")
        if colon and number.isdigit():
            whole.setdefault(int(number), []).append(f"{rest}\n")
    return ((number, "".join(lines)) for number, lines in whole.items())
