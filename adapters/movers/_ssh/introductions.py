"""One site let in to another for one transfer: by the user's agent, or by a key that is good for nothing else."""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters._openssh.doors import STRICT, option_words
from adapters._openssh.errors import login_error
from adapters._openssh.logins import agent_words
from adapters._openssh.programs import running
from adapters._openssh.sides import Side, shell_line
from adapters.movers._ssh.peers import Greeting, Peer, find_peer, knock
from metadata.errors import MiddlewareError, StagingError
from staging.ports import Credential

_log = logging.getLogger(__name__)
_LIFETIME_MIN = 60
"""A key lets in for so long, where sshd can be told so. Connections that it opened may last longer."""
_LEFTOVER_MIN = 24 * 60

# `$1`: the key's comment, empty for none. Input: known_hosts. What a crash left is removed first.
_SETTLE = f"""\
umask 077
find /tmp "$HOME" -maxdepth 1 -user "$(id -un)" -name 'convoy-introduction.*' -mmin +{_LEFTOVER_MIN} \\
  -exec rm -rf -- {{}} + 2>/dev/null
dir=$(mktemp -d /tmp/convoy-introduction.XXXXXXXX 2>/dev/null || mktemp -d "$HOME/convoy-introduction.XXXXXXXX") || exit
cat >"$dir/known_hosts" && {{ [ -z "$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$1" -f "$dir/key"; }} ||
  {{ rm -rf -- "$dir"; exit 1; }}
printf '\\n%s\\n' "$dir"; [ -z "$1" ] || cat "$dir/key.pub\""""
# The login keeps its standard error for as long as it lives: a pipe would keep this session open.
_OPEN = 'words=$1; shift; "$@" </dev/null >/dev/null 2>"$words" || { code=$?; cat "$words" >&2; exit "$code"; }'
# A login that the tool kept open ends first.
_LEAVE = """\
[ ! -S "$1/login" ] || ssh -F /dev/null -o ControlPath="$1/login" -O exit peer 2>/dev/null; rm -rf -- "$1\""""

# The lock and the renaming keep the file whole whoever else changes it meanwhile. Lines of ours end with the second
# in which they expire: those that a crash left go with the next one that comes or goes.
_CHANGE = """\
umask 077
mkdir -p "$HOME/.ssh" && : >>"$HOME/.ssh/authorized_keys" || exit
file=$(readlink -f "$HOME/.ssh/authorized_keys"); exec 9>"$HOME/.ssh/.convoy.lock"
! command -v flock >/dev/null || flock 9
cp -p -- "$file" "$file.convoy" &&
  awk -v now="$(date +%s)" -v token="$1" '
    / convoy-introduction-/ && (index($0, token) || $NF + 0 < now) { next } { print }' "$file" >"$file.convoy" &&
  mv -f -- "$file.convoy" "$file" || { rm -f -- "$file.convoy"; exit 1; }
"""
# `$2` 1: sshd knows expiry-time. `$3`: the only command. Input: the key. awk ended the last line if nobody had.
_ADMIT = (
    _CHANGE
    + f"""\
[ "$2" = 0 ] || until="expiry-time=\\"$(date -d '+{_LIFETIME_MIN} minutes' +%Y%m%d%H%M%S)\\","
printf '%srestrict,command="%s" %s %s\\n' "$until" "$3" "$(cat)" "$(($(date +%s) + {60 * _LIFETIME_MIN}))" >>"$file\""""
)


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """A site that may log in to its peer for a while."""

    initiator: Side
    """Where the transfer's command runs."""
    peer: Peer
    peer_is_source: bool
    folder: str
    """The initiator's private folder for this transfer."""
    credential: Credential

    def argv(self, script: str, *arguments: str) -> list[str]:
        """The program on this machine that runs a script at the initiator."""
        if self.credential is Credential.AGENT and self.initiator.door is not None:
            words = agent_words(self.initiator.door)
            return ["ssh", *words, "--", self.initiator.host, shell_line(script, *arguments)]
        return self.initiator.argv(script, *arguments)

    @property
    def words(self) -> list[str]:
        """What ssh, scp and sftp need at the initiator to get to the peer."""
        options = option_words(
            *STRICT, f"User={self.peer.user}", f"Port={self.peer.port}", "ForwardAgent=no",
            f"UserKnownHostsFile={self.folder}/known_hosts", "GlobalKnownHostsFile=/dev/null",
            f"HostKeyAlias={self.peer.address}",
        )  # fmt: skip
        if self.credential is Credential.SHORT_LIVED_KEY:
            options += ["-i", f"{self.folder}/key", *option_words("IdentitiesOnly=yes", "IdentityAgent=none")]
        else:
            options += option_words("IdentityFile=none")
        return ["-F", "/dev/null", *options]

    def open_login(self) -> list[str]:
        """The words for the peer with a login that stays open, for a tool that is started for each file."""
        words = [*self.words, *option_words(f"ControlPath={self.folder}/login")]
        staying = option_words("ControlMaster=yes", "ControlPersist=60")
        master = ["ssh", *words, *staying, "-f", "-N", "--", self.peer.address]
        with running(self.argv(_OPEN, f"{self.folder}/words", *master), stdin=subprocess.DEVNULL) as program:
            program.stdout.read()
            if code := program.wait():
                raise login_error(self.peer.side.site, program.words(), code)
        return [*words, *option_words("ControlMaster=no")]

    @property
    def command(self) -> str:
        """The beginning of a line of shell at the initiator that runs something at the peer."""
        return shlex.join(["ssh", *self.words, "--", self.peer.address])


@contextmanager
def introduced(
    source: Side, destination: Side, credential: Credential, *, command: Callable[[Side], str]
) -> Iterator[Introduction]:
    """One of the two may log in to the other; afterwards it cannot any more, and nothing is left at either.

    command: the only one that a short-lived key permits, told for either side. Raises StagingError when neither
    reaches the other or the credential cannot be had.
    """
    initiator, peer, greeting = _choose(source, destination)
    token = f"convoy-introduction-{secrets.token_hex(8)}"
    keyed = credential is Credential.SHORT_LIVED_KEY
    if not keyed:
        _check_agent()
    folder, public = _settle(initiator, peer, token if keyed else "")
    try:
        if keyed:
            expires = "1" if greeting.expires_keys else "0"
            peer.side.run(_ADMIT, token, expires, _escaped(command(peer.side)), stdin=public.encode())
        yield Introduction(
            initiator=initiator, peer=peer, peer_is_source=peer.side == source, folder=folder, credential=credential
        )
    finally:
        if keyed:
            _tidy(peer.side, _CHANGE, token)
        _tidy(initiator, _LEAVE, folder)


def _escaped(command: str) -> str:
    """As it stands between the quotes of authorized_keys."""
    return command.replace('"', '\\"')


def _choose(source: Side, destination: Side) -> tuple[Side, Peer, Greeting]:
    """Who starts: the source if it reaches the destination, else the other way round."""
    refusals = []
    for initiator, other in ((source, destination), (destination, source)):
        peer = find_peer(other)
        greeting = knock(initiator, peer)
        if greeting.came:
            return initiator, peer, greeting
        refusals.append(
            f"{initiator.site} does not reach {other.site} ({peer.address}, port {peer.port}): {greeting.words}"
        )
    raise StagingError(f"{'; '.join(refusals)}. Relay the data by way of this machine instead", site=source.site)


def _check_agent() -> None:
    with running(["ssh-add", "-l"], stdin=subprocess.DEVNULL) as program:
        program.stdout.read()
        if program.wait() or "SSH_AUTH_SOCK" not in os.environ:
            raise StagingError("there is no SSH agent with a key in it here to forward; add one with: ssh-add")


def _settle(initiator: Side, peer: Peer, comment: str) -> tuple[str, str]:
    """The private folder and the public key that were made."""
    said = initiator.run(_SETTLE, comment, stdin=peer.known_hosts.encode()).decode().split("\n")
    place = next(number for number, line in enumerate(said) if "/convoy-introduction." in line)
    return said[place], "".join(said[place + 1 :])


def _tidy(side: Side, script: str, argument: str) -> None:
    """Whatever happened, this is tried; what cannot be removed now expires, and goes with the next transfer."""
    try:
        side.run(script, argument)
    except MiddlewareError as error:
        _log.warning("%s: what was there for a transfer could not be removed: %s", side.site, error)
