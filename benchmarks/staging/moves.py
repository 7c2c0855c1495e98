"""Has the contenders bring the same data over the same cable in turn, and measures each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.orchestration.rounds import Launch, RunFailedError, TooSlowError, launched
from benchmarks.staging.cable import Cable, Link
from benchmarks.staging.contenders import (
    Contender,
    Convoy,
    Load,
    Task,
    check_command,
    sums_command,
    ways_taken,
    write_sites,
)
from benchmarks.staging.results import Choice, Run

_PROJECT = Path(__file__).resolve().parents[2]
_LIMIT_S = 300.0
_BEHIND, _LEAST_LIMIT_S = 1.5, 12.0
"""Who takes that many times as long as the quickest so far, and longer than this, is stopped."""


@dataclass(frozen=True, kw_only=True)
class Yard:
    """Where everybody is measured."""

    cable: Cable
    packages: Path | None
    """What is laid over /usr."""
    folder: Path
    """For logs and homes; removed by whoever made it."""
    quickest_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """The shortest transfer so far, by link and load."""
    left: list[str] = field(default_factory=list)
    """Folders at the destination that are removed at the end."""

    def clear(self) -> None:
        """Nothing is left at the destination."""
        for target in self.left:
            shutil.rmtree(self.cable.destination.seen(target), ignore_errors=True)
        self.left.clear()

    def measured(self, contender: Contender, load: Load, link: Link) -> Run:
        """One run in new folders at both ends. Raises RunFailedError unless all has arrived."""
        with self._task(load, link) as (task, work):
            os.sync()  # nobody pays for what the one before left to be written
            limit_s = self._limit_s(contender, load, link)
            sums = task.home / "sums"
            began = time.time()
            before = [] if contender.verifies else [self._launched(sums_command(task, sums), contender, work)]
            try:
                move = self._launched(contender.command(task), contender, work, limit_s=limit_s)
            except TooSlowError:
                return Run(
                    link=link.name, load=load.name, contender=contender.name, verified_s=limit_s, plain_s=limit_s,
                    cpu_s=0.0, stopped=True,
                )  # fmt: skip
            after = [] if contender.verifies else [self._launched(check_command(task, sums), contender, work)]
            self._check_arrival(task, contender)
            launches = [*before, move, *after]
            plain_s, way = move.wall_s, ""
            if isinstance(contender, Convoy):
                plain_s, way = ways_taken(task.home, since=began)
        key = (link.name, load.name)
        self.quickest_s[key] = min(self.quickest_s.get(key, _LIMIT_S), move.wall_s)
        return Run(
            link=link.name, load=load.name, contender=contender.name, plain_s=plain_s, way=way,
            verified_s=sum(launch.wall_s for launch in launches), cpu_s=sum(launch.cpu_s for launch in launches),
        )  # fmt: skip

    def choices(self, loads: Sequence[Load], link: Link, *, rounds: int, learned: Path) -> list[Choice]:
        """What Convoy learns of the link and chooses then; what it learned is kept in the folder `learned`."""
        with self._task(loads[0], link) as (task, work):
            home = task.home / "convoy"
            home.mkdir()
            write_sites(home, task.destination, task.target)
            words = [str(home), task.destination.name, str(rounds), *(str(load.folder) for load in loads)]
            program = [sys.executable, "-m", "benchmarks.staging.choices", *words]
            with (work / "errors.txt").open("w+") as errors:
                done = subprocess.run(
                    self.cable.at_source(program, packages=self.packages), cwd=_PROJECT, stdout=subprocess.PIPE,
                    stderr=errors, text=True, check=False, env={**os.environ, **self._variables(work)},
                )  # fmt: skip
                errors.seek(0)
                said = errors.read()
            if done.returncode:
                raise RunFailedError(f"the choice over {link.name}: {said[-800:]}")
            learned.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(home / "convoy.db", learned / f"{link.name}.db")
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [
            Choice(
                link=link.name, load=load.name, probes=answer["probes"], chosen=answer["chosen"],
                seconds=answer["seconds"],
            )
            for load, answer in zip(loads, answers, strict=True)
        ]  # fmt: skip

    def _limit_s(self, contender: Contender, load: Load, link: Link) -> float:
        """Long enough to tell that a peer is far behind. Convoy is never stopped, nor is whoever comes first."""
        quickest = self.quickest_s.get((link.name, load.name), _LIMIT_S)
        return _LIMIT_S if isinstance(contender, Convoy) else min(_LIMIT_S, max(_LEAST_LIMIT_S, _BEHIND * quickest))

    @contextmanager
    def _task(self, load: Load, link: Link) -> Iterator[tuple[Task, Path]]:
        """New folders, here and there; one large file that arrived is removed at once."""
        work = Path(tempfile.mkdtemp(dir=self.folder))
        for part in ("run", "home", "tmp"):
            (work / part).mkdir()
        destination = self.cable.destination
        task = Task(load=load, link=link, destination=destination, target=destination.new_folder(), home=work / "home")
        try:
            yield task, work
        finally:
            # A file system like ext4 passes over every inode that was freed in the last minute or five, one by one:
            # who comes after a folder of thousands is removed would pay for that with every file.
            if load.files == 1:
                shutil.rmtree(self.cable.destination.seen(task.target), ignore_errors=True)
            else:
                self.left.append(task.target)
            shutil.rmtree(_sockets(work), ignore_errors=True)

    def _launched(
        self, command: Sequence[str], contender: Contender, work: Path, *, limit_s: float = _LIMIT_S
    ) -> Launch:
        argv = self.cable.at_source(command, packages=self.packages)
        launch = launched(argv, work, variables=self._variables(work), label=contender.label, limit_s=limit_s)
        if launch.code:
            raise RunFailedError(f"{contender.label} ended with {launch.code}:\n{launch.last_words}")
        return launch

    def _variables(self, work: Path) -> dict[str, str]:
        sockets = _sockets(work)
        sockets.mkdir(mode=0o700, exist_ok=True)
        return {"HOME": str(work / "home"), "TMPDIR": str(work / "tmp"), "XDG_RUNTIME_DIR": str(sockets)}

    def _check_arrival(self, task: Task, contender: Contender) -> None:
        """Raises RunFailedError unless as many bytes in as many files lie there as were to go."""
        root = self.cable.destination.seen(task.target)
        found = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
        if len(found) != task.load.files or sum(found) != task.load.size_bytes:
            bytes_told = f"{sum(found)} of {task.load.size_bytes} bytes"
            raise RunFailedError(f"{contender.label}: {len(found)} of {task.load.files} files, {bytes_told}")


def _sockets(work: Path) -> Path:
    """For logins: their sockets need short paths, and a login of an earlier run must not be found."""
    return Path(tempfile.gettempdir()) / f"bench-{work.name[-8:]}"


def turns(contenders: Sequence[Contender], load: Load, repeat: int) -> Iterator[Contender]:
    """Who is next with a load; each round begins with another one."""
    able = [contender for contender in contenders if contender.limited_to in (None, load.name)]
    for turn in range(repeat):
        first = turn % len(able)
        yield from (*able[first:], *able[:first])


def made(folder: Path, name: str, *, files: int, file_bytes: int) -> Load:
    """Files of random bytes, which no tool can compress; those of an earlier benchmark are taken again."""
    place = folder / f"{name}-{files}x{file_bytes}"
    if not place.exists():
        draft = place.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for number in range(files):
            with (draft / f"f{number:06}").open("wb") as file:
                left = file_bytes
                while left:
                    left -= file.write(os.urandom(min(left, 4 << 20)))
        draft.rename(place)
    return Load(name=name, folder=place, files=files, size_bytes=files * file_bytes)
