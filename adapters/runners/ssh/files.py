"""Small files over a command: what the site runs to write one whole, and how its answer is read."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath

from metadata.errors import NotFoundError, SiteError
from orchestrator.ports import Argv

# $1 path, $2 temporary name, $3 mode, $4 bytes. The mode is set while the file is empty, so that no secret is ever
# readable by others; the size is checked because a broken connection looks like the end of the input.
_PUT = """
[ ! -d "$1" ] || { echo "$1 is a folder" >&2; exit 73; }
mkdir -p -- "$(dirname -- "$1")" || exit 73
trap 'rm -f -- "$2"' EXIT
(umask 077 && set -C && : >"$2") && chmod -- "$3" "$2" && cat >"$2" || exit 73
[ "$(wc -c <"$2")" -eq "$4" ] || { echo "only a part of $1 arrived" >&2; exit 75; }
mv -f -- "$2" "$1"
"""
_GET = 'LC_ALL=C exec cat -- "$1"'
_ABSENT = ("No such file or directory", "Not a directory")


def put_command(path: PurePosixPath, *, mode: int, size_bytes: int) -> Argv:
    """Writes its standard input to the path, whole or not at all."""
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part")
    return ("sh", "-c", _PUT, "put", _plain(path), _plain(temporary), f"{mode:o}", str(size_bytes))


def get_command(path: PurePosixPath) -> Argv:
    """Writes the file to its standard output."""
    return ("sh", "-c", _GET, "get", _plain(path))


def missing_or_refused(site: str, path: PurePosixPath, words: str) -> NotFoundError | SiteError:
    """The error that a failed read means, from the site's own words."""
    if any(absent in words for absent in _ABSENT):
        return NotFoundError(f"site '{site}' has no file {path}", site=site)
    return SiteError(f"site '{site}' cannot read {path}: {words.strip()}", site=site)


def _plain(path: PurePosixPath) -> str:
    """A path that no program takes for an option: not every dirname and chmod knows `--`."""
    text = str(path)
    return text if text.startswith("/") else f"./{text}"
