#!/usr/bin/env python3
"""Carries frames between two TAP devices, late and with losses, as a long cable does.

    wan.py NETNS OUTER INNER SETTINGS

Creates OUTER in the current network namespace and INNER in NETNS. SETTINGS is a file that holds two numbers:
the delay each way in milliseconds and the share of frames that are lost; it is read again upon SIGHUP.
Virtio headers keep 64 KB segmentation-offload frames whole, so the cost a byte is small (2.5 Gbit/s were measured).
"""

import collections
import contextlib
import ctypes
import fcntl
import os
import random
import select
import signal
import struct
import sys
import time
from pathlib import Path

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000
OFFLOAD_CSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_TSO_ECN = 1, 2, 4, 8
CLONE_NEWNET = 0x40000000
FRAMES_A_TURN = 64  # so that one direction cannot starve the other


def open_tap(name: str) -> int:
    """A TAP device of the current network namespace that takes whole offloaded segments."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", 12))
    fcntl.ioctl(tap, TUNSETOFFLOAD, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_TSO_ECN)
    return tap


def enter_network_namespace(name: str) -> None:
    """This process's new devices now appear in the named network namespace."""
    namespace = os.open(f"/run/netns/{name}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        sys.exit("setns: " + os.strerror(ctypes.get_errno()))


class Cable:
    """Two ends, and the frames that are under way to each of them."""

    def __init__(self, outer: int, inner: int, settings: Path) -> None:
        self.settings = settings
        self.other = {outer: inner, inner: outer}
        self.under_way: dict[int, collections.deque[tuple[float, bytes]]] = {
            end: collections.deque() for end in self.other
        }
        self.delay_s = self.loss = 0.0
        self.read_settings()

    def read_settings(self, *_signal: object) -> None:
        """The delay and the loss are those that the file states now."""
        delay_ms, loss = self.settings.read_text().split()
        self.delay_s, self.loss = float(delay_ms) / 1e3, float(loss)

    def deliver(self) -> float | None:
        """Frames whose time has come are out. Returns the seconds until the next one, None when there is none."""
        now = time.monotonic()
        wait_s: float | None = None
        for end, frames in self.under_way.items():
            while frames and frames[0][0] <= now:
                # An interface that is down loses the frame, as a cut cable does.
                with contextlib.suppress(OSError):
                    os.write(end, frames.popleft()[1])
            if frames and (wait_s is None or frames[0][0] - now < wait_s):
                wait_s = frames[0][0] - now
        return wait_s

    def accept(self, end: int) -> None:
        """The frames that wait at one end are under way to the other, or lost."""
        due = time.monotonic() + self.delay_s
        for _ in range(FRAMES_A_TURN):
            try:
                frame = os.read(end, 70000)
            except BlockingIOError:
                return
            except OSError:  # EIO while the interface is down
                time.sleep(0.01)
                return
            if not self.loss or random.random() >= self.loss:  # noqa: S311 - nobody is kept out by it
                self.under_way[self.other[end]].append((due, frame))

    def run(self) -> None:
        """Never returns."""
        while True:
            for end in select.select(list(self.other), [], [], self.deliver())[0]:
                self.accept(end)


def main(namespace: str, outer: str, inner: str, settings: str) -> None:
    """The cable carries frames until the program is killed."""
    outer_end = open_tap(outer)
    enter_network_namespace(namespace)
    cable = Cable(outer_end, open_tap(inner), Path(settings))
    signal.signal(signal.SIGHUP, cable.read_settings)
    cable.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
