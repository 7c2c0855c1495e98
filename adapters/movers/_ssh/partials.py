"""Folders and partial files at a destination, for many files at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence

from adapters._openssh.sides import Side
from metadata.errors import StagingError
from staging.ports import MoveFile

# The empty line ends what a login shell may have said.
# The input: `$1` bytes of folders, then files. What is not there yet has no size, which is no failure.
_LOOK = """\
echo; head -c "$1" | LC_ALL=C xargs -0r mkdir -p -- && {
LC_ALL=C xargs -0r stat -L --printf '%s %f\\0%n\\0' -- 2>/dev/null; exit 0; }"""
_SIZES = "echo; LC_ALL=C xargs -0r stat -L --printf '%s %f\\0%n\\0' -- 2>/dev/null; exit 0"
_EMPTY = "xargs -0r truncate -s 0 --"

_WRITE = 'head -c 1048576 /dev/zero >"$1"; code=$?; rm -f -- "$1"; exit "$code"'


def prepare(side: Side, files: Sequence[MoveFile]) -> Mapping[str, int]:
    """Every folder exists; how many bytes of which file lie there, by partial path, absent where there is none.

    A partial file longer than its source is no beginning of it and is emptied. Raises StagingError where a folder
    lies in the place of a file, and what `Side.run` raises.
    """
    folders = listed(sorted({file.partial_path.rpartition("/")[0] or "/" for file in files}))
    paths = listed(file.partial_path for file in files)
    answer = side.run(_LOOK, str(len(folders)), stdin=folders + paths)
    present = _parse_sizes(side, answer)
    wrong = [file.partial_path for file in files if present.get(file.partial_path, 0) > file.size_bytes]
    if wrong:
        side.run(_EMPTY, stdin=listed(wrong))
    return {**present, **dict.fromkeys(wrong, 0)}


def missing_source(side: Side, files: Sequence[MoveFile]) -> str | None:
    """The first source that is not there."""
    paths = [file.source_path for file in files]
    words = side.run(_SIZES, stdin=listed(paths)).split(b"\0")
    found = set(words[1::2])
    return next((path for path in paths if os.fsencode(path) not in found), None)


def check_room(side: Side, path: str) -> None:
    """Raises NoSpaceError when nothing can be written beside `path`, which SFTP servers only call a failure."""
    side.run(_WRITE, f"{path}.room")


def listed(paths: Iterable[str]) -> bytes:
    """Paths as `xargs -0` reads them."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _parse_sizes(side: Side, answer: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    words = answer.split(b"\0")
    for facts, name in zip(words[0::2], words[1::2], strict=False):
        size, mode = facts.split()[-2:]
        path = os.fsdecode(name)
        if not stat.S_ISREG(int(mode, 16)):
            raise StagingError(f"{side.site}: {path} is not a file; nothing was written over it", site=side.site)
        found[path] = int(size)
    return found
