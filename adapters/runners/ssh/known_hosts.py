"""Which host keys a person has said yes to: known_hosts files, read strictly."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

_REVOKED = "@revoked"


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """A host's public key."""

    algorithm: str
    """OpenSSH's word: `ssh-ed25519`, `ssh-rsa`..."""

    blob: bytes
    """The key as it goes over the wire."""

    @property
    def fingerprint(self) -> str:
        """SHA256:..., as ssh-keygen -l and sites' web pages show it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """A line of a known_hosts file that speaks of the host that was asked for."""

    key: HostKey
    """The key that the line states."""

    source: str
    """FILE:LINE."""

    revoked: bool
    """Whether the line forbids the key."""


def load_known_keys(files: Iterable[Path], key_name: str) -> tuple[KnownKey, ...]:
    """Every key that the files state for a host. A file that is missing or unreadable states none.

    key_name: `host`, or `[host]:port` where the port is not 22.
    """
    known: list[KnownKey] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        known.extend(parse_known_keys(text, key_name, source=str(file)))
    return tuple(known)


def parse_known_keys(text: str, key_name: str, *, source: str) -> Iterator[KnownKey]:
    """The keys that a known_hosts text states for a host. Certificate authorities are not followed."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", _REVOKED):
            continue
        names, algorithm, encoded = words[:3]
        key = _decoded(algorithm, encoded)
        if key is not None and _matches(names, key_name):
            yield KnownKey(key=key, source=f"{source}:{number}", revoked=marker == _REVOKED)


def save_known_key(file: Path, key_name: str, key: HostKey) -> None:
    """The file states the key for the host, after whatever else it states."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    separator = "" if before.endswith("\n") or not before else "\n"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"{separator}{key_name} {key.algorithm} {base64.b64encode(key.blob).decode()}\n")


def _decoded(algorithm: str, encoded: str) -> HostKey | None:
    try:
        return HostKey(algorithm=algorithm, blob=base64.b64decode(encoded, validate=True))
    except ValueError:
        return None


def _matches(names: str, key_name: str) -> bool:
    """A line's first word against a name: `a,b`, `*.example.org,!bad.example.org` or `|1|salt|hash`."""
    if names.startswith("|1|"):
        return _matches_hash(names, key_name)
    found = False
    for pattern in names.lower().split(","):
        # fnmatch would take [host]:port for a set of characters.
        shape = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatchcase(key_name.lower(), shape):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _matches_hash(names: str, key_name: str) -> bool:
    try:
        salt, expected = (base64.b64decode(part) for part in names.split("|")[2:4])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, key_name.encode(), "sha1"), expected)
