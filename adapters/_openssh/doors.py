"""What OpenSSH's programs are told of a site: the words for ssh, scp and sftp alike."""

from __future__ import annotations

from collections.abc import Mapping

Door = Mapping[str, str]
"""host, and as far as known user, port, identity_file, config_file, known_hosts, control_path."""

# The connection is given up when the other side says nothing for half a minute; nothing ever asks a question.
# aes128-gcm is the cheapest cipher wherever the processor knows AES; what is moved is mostly compressed already.
STRICT = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=15", "ServerAliveInterval=10",
    "ServerAliveCountMax=3", "ClearAllForwardings=yes", "Compression=no", "RequestTTY=no", "LogLevel=ERROR",
    "Ciphers=aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr",
)  # fmt: skip


def option_words(*options: str) -> list[str]:
    """The options as every program of OpenSSH takes them."""
    return [word for option in options for word in ("-o", option)]


def door_words(door: Door) -> list[str]:
    """How to log in at a door, without the host's name."""
    words = ["-F", door["config_file"]] if "config_file" in door else []
    words += option_words(*STRICT)
    words += [f"-oUser={door['user']}"] if "user" in door else []
    words += [f"-oPort={door['port']}"] if "port" in door else []
    if "identity_file" in door:
        words += ["-i", literal(door["identity_file"])]
    if "known_hosts" in door:
        words += option_words(f'UserKnownHostsFile="{literal(door["known_hosts"])}"', "GlobalKnownHostsFile=/dev/null")
    return words


def literal(path: str) -> str:
    """A path in which OpenSSH expands nothing."""
    return path.replace("%", "%%")


def host_and_path(host: str, path: str) -> str:
    """A file at a host, as scp and rsync write it."""
    return f"[{host}]:{path}" if ":" in host else f"{host}:{path}"
