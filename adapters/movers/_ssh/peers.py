"""What this machine knows of a site that another site shall reach: its address, and the host key that is trusted."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from adapters._openssh.doors import door_words
from adapters._openssh.programs import running
from adapters._openssh.sides import Side
from metadata.errors import StagingError

_REACH = 'timeout 5 ssh-keyscan -T 3 -t ed25519 -p "$2" -- "$1" 2>&1; exit 0'
_BANNER = re.compile(r"SSH-2\.0-(?:OpenSSH_(\d+)\.(\d+))?")
_EXPIRY_SINCE = (7, 7)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A site as another one has to address it."""

    side: Side
    address: str
    port: str
    user: str
    known_hosts: str
    """Lines of a known_hosts file that names the host by `address`."""


def find_peer(side: Side) -> Peer:
    """The site's address and key. Raises StagingError when this machine trusts no key of it."""
    answer = _said(["ssh", *door_words(side.door or {}), "-G", "--", side.host])
    facts = dict(line.partition(" ")[::2] for line in answer.splitlines())
    address, port = facts["hostname"], facts["port"]
    alias = facts.get("hostkeyalias", "none")
    name = alias if alias != "none" else address if port == "22" else f"[{address}]:{port}"
    files = shlex.split(f"{facts.get('userknownhostsfile', '')} {facts.get('globalknownhostsfile', '')}")
    known = "".join(_trusted(name, file, address) for file in files)
    if not known:
        raise StagingError(f"{side.site}: no host key of {name} is known here that another site could be told of")
    return Peer(side=side, address=address, port=port, user=facts["user"], known_hosts=known)


def _trusted(name: str, file: str, address: str) -> str:
    path = Path(file).expanduser()
    if not path.is_file():
        return ""
    lines = [
        line.split() for line in _said(["ssh-keygen", "-F", name, "-f", str(path)]).splitlines() if line[:1] != "#"
    ]
    # A line may begin with a marker, as @cert-authority; then come names, the key's kind and the key.
    return "".join(" ".join([*words[:-3], address, *words[-2:]]) + "\n" for words in map(_without_comment, lines))


def _without_comment(words: list[str]) -> list[str]:
    return words[: 4 if words[0].startswith("@") else 3]


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """What a site got to hear when it knocked at a peer."""

    came: bool
    expires_keys: bool
    """Whether the peer's sshd knows `expiry-time`."""
    words: str


def knock(initiator: Side, peer: Peer) -> Greeting:
    """What the site hears from the peer within 3 s."""
    said = initiator.run(_REACH, peer.address, peer.port).decode(errors="replace").strip()
    found = _BANNER.search(said)
    known = found is not None and bool(found[1]) and (int(found[1]), int(found[2])) >= _EXPIRY_SINCE
    return Greeting(came=found is not None, expires_keys=known, words=said.splitlines()[-1] if said else "no answer")


def _said(argv: list[str]) -> str:
    with running(argv, stdin=subprocess.DEVNULL) as program:
        answer = program.stdout.read()
        program.wait()
        return answer.decode(errors="replace")
