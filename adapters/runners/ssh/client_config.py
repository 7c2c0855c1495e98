"""What the SSH client's configuration says about a host: ~/.ssh/config as OpenSSH reads it."""

from __future__ import annotations

import getpass
import io
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from paramiko.config import SSHConfig, SSHConfigDict
from paramiko.ssh_exception import ConfigParseError

from adapters.runners.ssh.settings import SshSettings
from metadata.errors import InvalidSiteError

_DEFAULT_FILES = (Path("~/.ssh/config"), Path("/etc/ssh/ssh_config"))
_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_MOST_INCLUDES = 16  # as in OpenSSH


@dataclass(frozen=True, kw_only=True)
class Target:
    """One host to log in to, with everything known about it."""

    address: str
    """What is dialled."""

    port: int
    """sshd's port."""

    user: str
    """The user at the site."""

    key_name: str
    """The host's name in known_hosts: `host`, `[host]:port`, or the configuration's HostKeyAlias."""

    identity_files: tuple[Path, ...]
    """Private keys that exist, in the order of trying."""

    certificate_files: tuple[Path, ...]
    """Certificates named by CertificateFile."""

    use_agent: bool
    """Whether the agent's keys are tried."""

    only_named_keys: bool
    """IdentitiesOnly: of the agent's keys only those are tried whose file is named."""

    known_hosts: tuple[Path, ...]
    """The files to look for the host's key in; a trusted key is written to the first."""

    jumps: tuple[str, ...]
    """[user@]host[:port] of each host on the way, the nearest first."""

    proxy_command: str | None
    """A command whose standard input and output are the connection."""


def resolve_target(settings: SshSettings) -> Target:
    """The host that these settings mean. Settings win over the configuration.

    Raises InvalidSiteError for a configuration that cannot be read.
    """
    config = _lookup(settings)
    port = settings.port or int(config.get("port", 22))
    address = config.get("hostname", settings.host)
    alias = config.get("hostkeyalias")
    return Target(
        address=address,
        port=port,
        user=settings.user or config.get("user") or getpass.getuser(),
        key_name=alias or (address if port == 22 else f"[{address}]:{port}"),
        identity_files=_identities(settings, config),
        certificate_files=_paths(config.get("certificatefile")),
        use_agent=config.get("identityagent", "").lower() != "none",
        only_named_keys=config.get("identitiesonly", "no").lower() == "yes",
        known_hosts=_known_hosts(settings, config),
        jumps=_jumps(config.get("proxyjump"), settings.host),
        proxy_command=_unless_none(config.get("proxycommand")),
    )


def _lookup(settings: SshSettings) -> SSHConfigDict:
    files = (settings.config_file,) if settings.config_file else tuple(file.expanduser() for file in _DEFAULT_FILES)
    if settings.config_file and not settings.config_file.is_file():
        raise InvalidSiteError(f"site '{settings.site}': there is no config_file {files[0]}", site=settings.site)
    text = "\n".join(line for file in files if file.is_file() for line in _lines(file))
    try:
        config = SSHConfig()
        config.parse(io.StringIO(text))
        return config.lookup(settings.host)
    except (ConfigParseError, ValueError) as error:
        names = ", ".join(map(str, files))
        raise InvalidSiteError(f"the SSH configuration ({names}) is wrong: {error}", site=settings.site) from error


def _lines(file: Path, depth: int = 0) -> Iterator[str]:
    """The file's lines with every Include replaced, which paramiko leaves out."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        if word.lower() != "include" or depth >= _MOST_INCLUDES:
            yield line
            continue
        for pattern in rest.split():
            for found in sorted(glob(str(file.parent / Path(pattern.strip('"')).expanduser()))):  # noqa: PTH207
                yield from _lines(Path(found), depth + 1)


def _identities(settings: SshSettings, config: SSHConfigDict) -> tuple[Path, ...]:
    configured: list[str] = list(config.get("identityfile", ()))
    named = [*settings.identity_files, *(Path(name).expanduser() for name in configured)]
    candidates = named or [Path(name).expanduser() for name in _DEFAULT_IDENTITIES]
    missing = [path for path in settings.identity_files if not path.is_file()]
    if missing:
        message = f"site '{settings.site}': there is no identity_file {missing[0]}"
        raise InvalidSiteError(message, site=settings.site)
    return tuple(dict.fromkeys(path for path in candidates if path.is_file()))


def _known_hosts(settings: SshSettings, config: SSHConfigDict) -> tuple[Path, ...]:
    if settings.known_hosts:
        return (settings.known_hosts,)
    own = config.get("userknownhostsfile", _DEFAULT_KNOWN_HOSTS)
    return _paths([*own.split(), *config.get("globalknownhostsfile", _GLOBAL_KNOWN_HOSTS).split()])


def _jumps(chain: str | None, host: str) -> tuple[str, ...]:
    """A jump host is not reached through itself, which `Host *` with ProxyJump would say."""
    hops = (_unless_none(chain) or "").split(",")
    names = {hop: hop.rpartition("@")[2].partition(":")[0] for hop in hops if hop}
    return () if host in names.values() else tuple(names)


def _unless_none(value: str | None) -> str | None:
    return None if value is None or value.lower() == "none" else value


def _paths(names: object) -> tuple[Path, ...]:
    listed = [names] if isinstance(names, str) else names if isinstance(names, list) else []
    return tuple(Path(name).expanduser() for name in listed)
