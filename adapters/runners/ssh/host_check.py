"""Whether the machine that answers is the one that a person trusted."""

from __future__ import annotations

from dataclasses import dataclass

from paramiko import MissingHostKeyPolicy, PKey, SSHClient

from adapters.runners.ssh.client_config import Target
from adapters.runners.ssh.errors import HostKeyChangedError, HostKeyUnknownError, ShownKey
from adapters.runners.ssh.known_hosts import HostKey, KnownKey, load_known_keys

# What paramiko may offer for a key of each kind: RSA keys sign with SHA-2 under other names than their own.
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True, kw_only=True)
class HostCheck(MissingHostKeyPolicy):
    """Accepts the keys that known_hosts states for the target, and no others.

    It serves as paramiko's policy for *every* key, because paramiko's own store knows neither patterns nor @revoked.
    """

    site: str
    """Convoy's name for the site."""

    target: Target
    """The host that should answer."""

    def preferred_algorithms(self, offered: tuple[str, ...]) -> tuple[str, ...]:
        """The kinds of key that are known come first; else a host with two keys would show the one that is not."""
        known = [known.key.algorithm for known in self._known() if not known.revoked]
        first = [name for algorithm in known for name in _SIGNATURES.get(algorithm, (algorithm,)) if name in offered]
        return tuple(dict.fromkeys((*first, *offered)))

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:  # noqa: ARG002
        """Nothing happens when the key is trusted. Raises HostKeyUnknownError or HostKeyChangedError."""
        key_shown = HostKey(algorithm=key.get_name(), blob=key.asbytes())
        known = self._known()
        shown = ShownKey(
            key=key_shown, key_name=self.target.key_name, file=self.target.known_hosts[0], changed=bool(known)
        )
        trusted = [entry for entry in known if not entry.revoked]
        if any(entry.revoked and entry.key.blob == key_shown.blob for entry in known):
            message = f"{self._place()}: its host key {key_shown.fingerprint} was revoked"
            raise HostKeyChangedError(message, shown=shown, site=self.site)
        if not trusted:
            raise HostKeyUnknownError(self._unknown(key_shown), shown=shown, site=self.site)
        if all(entry.key.blob != key_shown.blob for entry in trusted):
            raise HostKeyChangedError(self._changed(key_shown, trusted[0]), shown=shown, site=self.site)

    def _known(self) -> tuple[KnownKey, ...]:
        return load_known_keys(self.target.known_hosts, self.target.key_name)

    def _place(self) -> str:
        return f"site '{self.site}' ({self.target.address}, port {self.target.port})"

    def _unknown(self, shown: HostKey) -> str:
        return (
            f"{self._place()}: its host key is not known yet. It shows {shown.algorithm} {shown.fingerprint}. "
            f"Compare that with what the centre publishes; if it is the same, run: convoy site trust {self.site}"
        )

    def _changed(self, shown: HostKey, known: KnownKey) -> str:
        file = known.source.rpartition(":")[0]
        return (
            f"{self._place()}: its host key has changed. {known.source} states {known.key.algorithm} "
            f"{known.key.fingerprint}, the host shows {shown.algorithm} {shown.fingerprint}. "
            f"Either somebody listens in, or the site was reinstalled: ask the centre. If the new key is right, run: "
            f"ssh-keygen -R '{self.target.key_name}' -f {file} && convoy site trust {self.site}"
        )
