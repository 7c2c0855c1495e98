"""Two programs that are sent to sites as text, and run there by themselves: Python 3.6, the standard library.

Paths are bytes, because a site's locale is not ours. Both can speak tar, so that GNU tar can stand at the other end.
Among themselves they leave out its blocks, which are a twentieth of a small file.
"""

from __future__ import annotations

from pathlib import Path

_MARK = b"# Sent to sites from here on.\n"


def _sent(name: str) -> bytes:
    _, _, text = Path(__file__).with_name(f"{name}.py").read_bytes().partition(_MARK)
    return text


PACKER = _sent("wire") + _sent("packer")
UNPACKER = _sent("wire") + _sent("unpacker")
