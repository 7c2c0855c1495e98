"""Who is measured: how each is told to bring a folder to a site, and what a careful person does beside that."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from benchmarks.login import Login
from benchmarks.staging.cable import Link

_CIPHER = "aes128-gcm@openssh.com"
"""The cheapest where the processor knows AES."""
_SSH = ("ssh", "-o", "Compression=no", "-c", _CIPHER)


@dataclass(frozen=True, kw_only=True)
class Load:
    """The same data for everybody."""

    name: str
    folder: Path
    """All files lie in it, none deeper."""
    files: int
    size_bytes: int
    """Of all together."""

    def warm(self) -> None:
        """All of it was read just now: who comes first must not be the one who pays for the disk."""
        for path in self.folder.iterdir():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass


@dataclass(frozen=True, kw_only=True)
class Task:
    """A load, and where it shall go."""

    load: Load
    link: Link
    destination: Login
    target: str
    """A folder of the site's that is there, and empty."""
    home: Path
    """A folder of this machine that is there, and empty."""


class Contender(Protocol):
    """Somebody who brings data to a site."""

    name: ClassVar[str]
    label: ClassVar[str]
    verifies: ClassVar[bool]
    """Whether it leaves the SHA-256 of every file, compared at the site with what lies there."""
    limited_to: ClassVar[str | None]
    """The only load that it is measured with."""

    def command(self, task: Task) -> list[str]:
        """The program that brings it there."""


class Convoy:
    """`convoy data put`: hashes, chooses, moves, verifies, gives the files their names and notes them."""

    name: ClassVar[str] = "convoy"
    label: ClassVar[str] = "Convoy"
    verifies: ClassVar[bool] = True
    limited_to: ClassVar[str | None] = None

    def __init__(self, program: Path, learned: Path) -> None:
        self._program = program
        self._learned = learned

    def command(self, task: Task) -> list[str]:
        """A home that knows nothing but what was measured of this link before."""
        home = task.home / "convoy"
        home.mkdir()
        learned = self._learned / f"{task.link.name}.db"
        if learned.exists():
            shutil.copyfile(learned, home / "convoy.db")
        write_sites(home, task.destination, task.target)
        place = task.destination.name
        return [
            str(self._program), "--home", str(home), "data", "put", str(task.load.folder), "load", "--site", place,
        ]  # fmt: skip


def write_sites(home: Path, destination: Login, workdir: str) -> None:
    """The site file of a home: a site with SSH, and the same door of GridFTP that the peers use."""
    site = {
        "workdir": workdir,
        "scheduler": "slurm",
        "runner": {"type": "ssh", "options": {"host": destination.name, "config_file": str(destination.config)}},
        "storage": "command",
        "doors": {"gridftp": {"host": destination.name, "user": "alice", "security": "sshftp", "data_channel": "open"}},
    }
    (home / "sites.yaml").write_text(json.dumps({"sites": {destination.name: site}}))


def ways_taken(home: Path, *, since: float) -> tuple[float, str]:
    """Seconds that Convoy's transfers took by themselves, and by which movers, as its database tells."""
    question = """
        SELECT mover || CASE WHEN streams > 1 THEN ' x' || streams ELSE '' END, sum(seconds)
        FROM link_measurements WHERE measured_at >= ? GROUP BY mover, streams
    """
    with closing(sqlite3.connect(home / "convoy" / "convoy.db")) as database:
        rows = database.execute(question, (since,)).fetchall()
    return sum(row[1] for row in rows), ", ".join(row[0] for row in rows)


class Scp:
    """In the old protocol, which asks for fewer answers a file."""

    name: ClassVar[str] = "scp"
    label: ClassVar[str] = f"scp -O -r -c {_CIPHER}"
    verifies: ClassVar[bool] = False
    limited_to: ClassVar[str | None] = None

    def command(self, task: Task) -> list[str]:
        """All files by one login."""
        return [
            "scp", "-q", "-O", "-r", "-o", "Compression=no", "-c", _CIPHER, str(task.load.folder), _there(task),
        ]  # fmt: skip


class Rsync:
    """It compares a checksum of what it sent with one of what it wrote, and leaves none of them."""

    name: ClassVar[str] = "rsync"
    label: ClassVar[str] = f"rsync -a -W --inplace -e 'ssh -c {_CIPHER}'"
    verifies: ClassVar[bool] = False
    limited_to: ClassVar[str | None] = None

    def command(self, task: Task) -> list[str]:
        """Whole files, written where they shall be."""
        return ["rsync", "-a", "-W", "--inplace", "-e", shlex.join(_SSH), str(task.load.folder), _there(task)]


class Rclone:
    """Its own check of hashes starts a program at the site for each file, and is slower than sha256sum over all."""

    name: ClassVar[str] = "rclone"
    label: ClassVar[str] = "rclone copy --transfers 16, sftp"
    verifies: ClassVar[bool] = False
    limited_to: ClassVar[str | None] = None

    def __init__(self, program: Path) -> None:
        self._program = program

    def command(self, task: Task) -> list[str]:
        """Sixteen files at a time."""
        remote = f":sftp,host={task.destination.address},user=alice,key_file={task.destination.key}:"
        return [
            str(self._program), "copy", str(task.load.folder), f"{remote}{task.target}/{task.load.folder.name}",
            "--transfers", "16", "--checkers", "16", "--no-check-dest", "--sftp-disable-hashcheck",
            "--sftp-concurrency", "64", "--sftp-chunk-size", "255k", "--sftp-set-modtime=false",
            "--sftp-shell-type", "unix", "--sftp-ciphers", _CIPHER, "--config", "",
        ]  # fmt: skip


class GlobusUrlCopy:
    """Its data go unencrypted; only the word is given by SSH."""

    name: ClassVar[str] = "globus-url-copy"
    label: ClassVar[str] = "globus-url-copy -fast -p N / -pp -cc 4, sshftp"
    verifies: ClassVar[bool] = False
    limited_to: ClassVar[str | None] = None

    def command(self, task: Task) -> list[str]:
        """Parallel streams for one large file, pipelining and concurrency for many small ones."""
        many = ["-pp", "-cc", "4"] if task.load.files > 1 else ["-p", str(task.link.streams)]
        source = f"file://{task.load.folder}/"
        target = f"sshftp://alice@{task.destination.name}{task.target}/{task.load.folder.name}/"
        return ["globus-url-copy", "-nodcau", "-fast", *many, "-cd", "-r", source, target]


class Tar:
    """What an expert types for many small files."""

    name: ClassVar[str] = "tar"
    label: ClassVar[str] = f"tar | ssh -c {_CIPHER} tar"
    verifies: ClassVar[bool] = False
    limited_to: ClassVar[str | None] = "files"

    def command(self, task: Task) -> list[str]:
        """One stream."""
        there = shlex.join([*_SSH, task.destination.name, f"tar -C {task.target} -xf -"])
        return [
            "sh",
            "-c",
            f'tar -C "$1" -cf - "$2" | {there}',
            "sh",
            str(task.load.folder.parent),
            task.load.folder.name,
        ]


def _there(task: Task) -> str:
    return f"{task.destination.name}:{task.target}/"


def sums_command(task: Task, sums: Path) -> list[str]:
    """What a careful person does before: the sums of all files, made here."""
    script = 'cd "$1" && find . -type f -print0 | xargs -0 sha256sum -- >"$2"'
    return ["sh", "-c", script, "sh", str(task.load.folder), str(sums)]


def check_command(task: Task, sums: Path) -> list[str]:
    """And after: all files are read and compared there."""
    script = f"cd {task.target}/{task.load.folder.name} && sha256sum --check --quiet --strict -"
    return ["sh", "-c", f'{shlex.join([*_SSH, task.destination.name, script])} <"$1"', "sh", str(sums)]
