"""The cable between the contenders and a site: its length, its losses, and who is at its ends.

The contenders run on this machine, but with the network of a site of their own (`source`): its cable and its way of
congestion control are theirs, and the site to which they bring data is as far away as two sites of the testbed are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.login import Login, bring_up, sites

_HOSTS_CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")

# In a mount namespace of its own: the peers' packages as if they were installed, and every site by its name.
_AT_HOME = """\
mount --make-rprivate / && mount --bind "$1" /etc/ssh/ssh_config || exit 97
[ -z "$2" ] || mount -t overlay -o "ro,lowerdir=$2:/usr" overlay /usr || exit 98
shift 2
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a cable is like."""

    name: str
    label: str
    rate_mbit: int | None = None
    rtt_ms: float = 0.0
    loss: float = 0.0
    """A frame's chance on each of the two cables; a frame is up to 64 KB."""
    congestion_control: str | None = None
    """None: as this machine has it."""
    most_bytes: int = 1 << 30
    """Of the large file, or the benchmark would take an hour."""
    streams: int = 4
    """Of which globus-url-copy is at its best over it."""

    def seconds(self, size_bytes: int) -> float | None:
        """What the bytes take at the very least; None where nothing limits them."""
        return None if self.rate_mbit is None else size_bytes * 8 / (self.rate_mbit * 1e6)


LINKS = {
    "none": Link(name="none", label="unshaped"),
    "wan": Link(name="wan", label="200 Mbit/s, 30 ms", rate_mbit=200, rtt_ms=30.0, most_bytes=1 << 29),
    "lossy": Link(
        name="lossy", label="200 Mbit/s, 30 ms, lossy, cubic", rate_mbit=200, rtt_ms=30.0, loss=0.0005,
        most_bytes=1 << 28, congestion_control="cubic", streams=8,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Cable:
    """Two sites of the testbed, of which the first lends its network to the contenders."""

    source: Login
    destination: Login

    def shape(self, link: Link) -> None:
        """Both ends are as the link says. What goes over it now breaks off where a plain cable is laid anew."""
        cc = link.congestion_control or _HOSTS_CONGESTION_CONTROL.read_text().strip()
        rate = "none" if link.rate_mbit is None else f"{link.rate_mbit}mbit"
        for login in (self.source, self.destination):
            plain = not link.rtt_ms and not link.loss
            # A delay line that was laid once stays, and is itself slower than a plain cable.
            relaid = plain and (login.state / "sites" / login.name / "wan.pid").exists()
            sites("link", login.name, f"rate={rate}", f"rtt={link.rtt_ms:g}", f"loss={link.loss:g}", f"cc={cc}")
            if relaid:
                sites("stop", login.name)
                sites("up", login.name)

    def at_source(self, argv: Sequence[str], *, packages: Path | None) -> list[str]:
        """The program that runs here with the source's network; `packages` is laid over /usr."""
        return [
            "ip", "netns", "exec", f"cv-{self.source.name}", "unshare", "--mount", "sh", "-c", _AT_HOME, "sh",
            str(self.source.config), str(packages / "usr") if packages else "", *argv,
        ]  # fmt: skip


def laid(source: str, destination: str) -> Cable:
    """Both sites are up. Raises NoSiteError where there can be none."""
    return Cable(source=bring_up(source), destination=bring_up(destination))
