"""Two real sites with cables of their own, homes that know them, and eyes that look past every program under test."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

from metadata.database import open_database
from metadata.tables import REPLICAS
from tests.acceptance.conftest import PROGRAM, environment
from tests.testbed.fixtures import Testbed, TestbedSite

Answer = subprocess.CompletedProcess[str]
Running = subprocess.Popen[str]
Told = TypeVar("Told")

SIDES = ("east", "west")
NAMES = os.environ.get("CONVOY_TRANSFER_FAULT_SITES", "tfe,tfw").split(",")
"""Sites that no other folder of tests uses: their cables are cut, filled and counted here."""
MOVERS = ("tar", "rsync", "gridftp")
"""A stream of ours, a program of others, and parallel servers: they break in different ways."""
COPY = ("data", "cp", "scan", "west:")
"""What brings a home's data set to west."""
SLOW, FAST = "40mbit", "none"
"""Cables while bytes have to be on their way, and when that has been seen."""
MIB = 1 << 20
AGAIN_BYTES = 64 * MIB
"""What a fault may cost: so much is sent again, or one file."""
OVERHEAD = 1.06
"""Headers, acknowledgements and questions, beside the bytes of the files."""
TRY_AGAIN = 75
"""The exit code of what may be tried again."""
_TRIES = 30
"""Each of five cuts makes several of them fail."""
_PATIENCE_S = 120


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site under the name that homes know."""

    site: TestbedSite
    workdir: str
    """Convoy's folder there."""
    data: str
    """A folder of alice's own there."""

    def path(self, path: str) -> Path:
        """A path of the site as this machine's root sees it."""
        return self.site.root / path.lstrip("/")

    def make(self, name: str, size_bytes: int) -> str:
        """A file of random bytes lies among alice's; its path there."""
        path = f"{self.data}/{name}"
        self.site.execute("/bin/sh", "-c", f"head -c {size_bytes} /dev/urandom >{path} && chown alice {path}")
        return path

    @property
    def received_bytes(self) -> int:
        """Everything that its cable ever brought, as the cable's other end counts it."""
        return _counted(self.site.name, "tx_bytes")

    @property
    def sent_bytes(self) -> int:
        """Everything that its cable ever took away."""
        return _counted(self.site.name, "rx_bytes")

    @property
    def partials(self) -> list[Path]:
        """Files that are only half there."""
        found = [*self.path(self.workdir).rglob("data/partial/*"), *self.path(self.workdir).rglob("*.part*")]
        return [path for path in (*found, *self.path(self.data).rglob(".convoy-*")) if path.is_file()]

    @property
    def arriving_bytes(self) -> int:
        """What was brought so far, files that are only half there among it."""
        sizes = 0
        for path in {*self.path(self.workdir).rglob("data/*/*"), *self.partials}:
            with suppress(FileNotFoundError):  # it got its name just now
                sizes += path.stat().st_size
        return sizes


def _counted(site: str, counter: str) -> int:
    return int(Path(f"/sys/class/net/cv-{site}/statistics/{counter}").read_text())


@dataclass(frozen=True, kw_only=True, eq=False)
class Home:
    """One person's Convoy: a folder with sites and a database."""

    folder: Path
    places: dict[str, Place]

    def run(self, *arguments: object, timeout_s: float = 240) -> Answer:
        """What `convoy ARGUMENTS` said."""
        return subprocess.run(
            self._words(arguments), capture_output=True, text=True, errors="surrogateescape", timeout=timeout_s,
            check=False, env=wide(), cwd=self.folder,
        )  # fmt: skip

    def start(self, *arguments: object) -> Running:
        """`convoy ARGUMENTS`, going on while the test does other things."""
        return subprocess.Popen(
            self._words(arguments), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=wide(), cwd=self.folder,
        )  # fmt: skip

    def _words(self, arguments: tuple[object, ...]) -> list[str]:
        return [*PROGRAM, "--home", str(self.folder), *map(str, arguments)]

    def done(self, *arguments: object, timeout_s: float = 240) -> Answer:
        """The same, which has to end well."""
        answer = self.run(*arguments, timeout_s=timeout_s)
        assert answer.returncode == 0, f"{arguments}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        return answer

    def done_in_the_end(self, *arguments: object, first: Answer | None = None) -> None:
        """Said again for as long as Convoy itself says that it may be tried again."""
        answer = first or self.run(*arguments)
        for _ in range(_TRIES):
            if answer.returncode != TRY_AGAIN:
                break
            answer = self.run(*arguments)
        assert answer.returncode == 0, f"{arguments}: {answer.returncode}\n{answer.stdout}\n{answer.stderr}"

    def add_scan(self, size_bytes: int) -> None:
        """A data set of one file, which lies at east."""
        self.done("data", "add", "scan", "--site", "east", self.places["east"].make("one", size_bytes))

    def replicas(self) -> list[tuple[str, str, str, int]]:
        """(site, path, sha256, size) of every copy that the catalogue believes in."""
        engine = open_database(f"sqlite:///{self.folder / 'convoy.db'}")
        try:
            with engine.connect() as connection:
                columns = (REPLICAS.c.site, REPLICAS.c.path, REPLICAS.c.sha256, REPLICAS.c.size_bytes)
                return [tuple(row) for row in connection.execute(select(*columns))]  # type: ignore[misc]
        finally:
            engine.dispose()

    def check_registered(self, *, at: str | None = None) -> int:
        """Every copy that the catalogue believes in is there with every byte right; how many there are."""
        rows = [row for row in self.replicas() if at in (None, row[0])]
        for site, path, sha256, size in rows:
            place = self.places[site].path(path) if site in self.places else Path(path)
            assert place.stat().st_size == size, place
            assert sha256_of(place) == sha256, place
        return len(rows)


def wide() -> dict[str, str]:
    """The environment of a screen that breaks no line."""
    return {**environment(), "COLUMNS": "1000"}


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(kw_only=True)
class World:
    """East and west, and what knows them."""

    folder: Path
    places: dict[str, Place]
    homes: dict[str, Home] = field(default_factory=dict)

    @property
    def east(self) -> Place:
        """Where data begin."""
        return self.places["east"]

    @property
    def west(self) -> Place:
        """Where faults happen."""
        return self.places["west"]

    def home(self, mover: str = "", *, direct: bool = True) -> Home:
        """A home of its own, whose data go from east to west by one mover, or by the one that Convoy chooses."""
        name = f"home{len(self.homes)}"
        folder = self.folder / name
        folder.mkdir()
        places = {side: self._own(place, name) for side, place in self.places.items()}
        link: dict[str, object] = {"from": "east", "to": "west"}
        if direct:
            link["direct"] = "key"
        if mover:
            link["mover"] = mover
        sites = {side: _site(place) for side, place in places.items()}
        # JSON is YAML.
        (folder / "sites.yaml").write_text(json.dumps({"sites": sites, "links": [link]}))
        made = Home(folder=folder, places=places)
        self.homes[name] = made
        return made

    @staticmethod
    def _own(place: Place, name: str) -> Place:
        own = Place(site=place.site, workdir=f"{place.workdir}/{name}", data=f"{place.data}/{name}")
        place.site.execute("install", "-d", "-o", "alice", place.workdir, own.workdir, place.data, own.data)
        return own

    def scans(self, size_bytes: int) -> list[Home]:
        """A home for each mover, with a data set of one file at east."""
        homes = [self.home(mover) for mover in MOVERS]
        together(homes, lambda home: home.add_scan(size_bytes))
        return homes

    def link(self, rate: str) -> None:
        """The cable of west is so fast from now on; open connections live on."""
        self.west.site.fault("link", f"rate={rate}")


def _site(place: Place) -> dict[str, object]:
    return {
        "workdir": place.workdir,
        "scheduler": "slurm",
        "runner": {"type": "ssh", "options": place.site.ssh_options},
        "storage": "command",
        "doors": {"gridftp": {"host": place.site.address, "port": 2810, "security": "anonymous"}},
    }


@pytest.fixture(scope="session")
def sites_of_our_own(testbed: Testbed) -> Iterator[None]:
    """No other run of these tests on this machine breaks what this one uses; it waits for its turn."""
    testbed.folder.mkdir(parents=True, exist_ok=True)
    with (testbed.folder / f"{'-'.join(NAMES)}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def world(testbed: Testbed, sites_of_our_own: None, tmp_path: Path) -> Iterator[World]:
    """Both sites are up, and the cables as fast as they can be again afterwards."""
    token = secrets.token_hex(4)
    places = {
        side: Place(
            site=testbed.site(name, DBD=0, NODES=1),
            workdir=f"/home/alice/faults-{token}/convoy",
            data=f"/home/alice/faults-{token}/data",
        )
        for side, name in zip(SIDES, NAMES, strict=True)
    }
    for place in places.values():
        place.site.execute("install", "-d", "-o", "alice", f"/home/alice/faults-{token}")
    made = World(folder=tmp_path, places=places)
    yield made
    made.link(FAST)
    for place in places.values():
        place.site.execute("rm", "-rf", f"/home/alice/faults-{token}")


def together(homes: Sequence[Home], act: Callable[[Home], Told]) -> list[Told]:
    """Done for all of them at once."""
    with ThreadPoolExecutor(len(homes)) as threads:
        return list(threads.map(act, homes))


def on_their_way(running: Mapping[Home, Running], size_bytes: int) -> Iterator[Home]:
    """Each home as soon as so many bytes lie at west, while its process is at work."""
    left, deadline = dict(running), time.monotonic() + _PATIENCE_S
    while left:
        for home, process in list(left.items()):
            assert process.poll() is None, f"it ended before: {process.communicate()}"
            if home.places["west"].arriving_bytes >= size_bytes:
                del left[home]
                yield home
        assert time.monotonic() < deadline, f"{size_bytes} bytes are not on their way"
        time.sleep(0.02)


def kill(process: Running) -> None:
    """And it alone: what it started at the sites learns of it as of any crash."""
    process.kill()
    process.communicate()


def ended(process: Running, arguments: tuple[object, ...] = ()) -> Answer:
    """What a process that was started said in the end."""
    out, err = process.communicate(timeout=240)
    return subprocess.CompletedProcess(args=arguments, returncode=process.returncode, stdout=out, stderr=err)
