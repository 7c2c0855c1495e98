"""Two hundred tasks on two clusters while everything breaks that can: each of them is done once, and the journal says how.

Done once means that one attempt of a task, and no second one, came to its end and was believed. Each execution leaves a
line with its attempt's name when it begins and another when its program ends, so the sites themselves tell what was run:

- no attempt that was submitted begins twice, whatever was cut, killed or lied about;
- a task's program comes to its end once. Only where a site lost power may it do so a second time: when the power went
  in the instant between the program's last step and the note that it had ended, nobody could know. That is at most one
  task a core.

The plan of faults comes from a seed. Repeat one by `pytest --seed N`; `--repetitions N` says how many are tried.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.history import RunRecord
from tests.integration.slurm.conftest import PROGRAM, Clusters, environment, make_home
from tests.testbed.fixtures import Testbed, wait_until

NAMES = os.environ.get("CONVOY_FAULT_SITES", "psnc,bsc").split(",")
SIDES = ("east", "west")
TASKS = {1: 40, 2: 40, 3: 16, 4: 4}
"""Tasks of each step at each site."""
CORES = 8
"""At most so many tasks run at one time at one site."""
DEADLINE_S = 240.0
SILENCES = ("site.silent", "site.trouble")

# A step follows the one before it, and the last ones read what the other site made. They wait until all faults have
# happened: none comes too late to matter.
STEP = """\
  {side}{number}:
    scatter: {{n: {{range: {count}}}}}
    command: |
      echo "begins $(pwd | sed 's,.*/runs/[^/]*/,,')" >> {{counters}}/{side}
      {work}
      echo {side}{number} {{{{with.n}}}} > made.txt
      echo "ends $(pwd | sed 's,.*/runs/[^/]*/,,')" >> {{counters}}/{side}
    outputs: {{made: made.txt}}
    at: {side}
"""


def workflow() -> str:
    """Four steps at each site."""
    text = "name: faults\nsteps:\n"
    for number, count in TASKS.items():
        for side, other in (SIDES, SIDES[::-1]):
            work = "until [ -e {counters}/faults-are-over ]; do sleep 0.1; done" if number == 4 else "sleep 0.2"
            text += STEP.format(side=side, number=number, count=count, work=work)
            if number > 1:
                text += f"    in: {{before: {other if number == 4 else side}{number - 1}.made}}\n"
    return text


SBATCH = """\
#!/bin/sh
case "$*" in *--version*) exec /usr/bin/sbatch "$@";; esac
word=$(head -n 1 {behaviour}); sed -i 1d {behaviour}; echo "$word" >>{behaviour}.done
case "$word" in
lies) /usr/bin/sbatch "$@" >/dev/null
      echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1 ;;
hangs-up) /usr/bin/sbatch "$@" >/dev/null; pkill -9 -u alice '^sshd-session' ;;
*) exec /usr/bin/sbatch "$@" ;;
esac
"""
"""An sbatch that takes a job and says that it timed out, or whose connection breaks before it can say anything."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that breaks."""

    kind: str
    side: str
    pause_s: float
    """Until it happens."""


@dataclass(frozen=True, kw_only=True)
class Mischief:
    """Everything that goes wrong in one run."""

    submissions: dict[str, list[str]]
    """What the sbatch of each site does, call by call."""
    faults: list[Fault]

    @classmethod
    def of(cls, seed: int) -> Mischief:
        """The same for the same seed; every kind of fault is in it."""
        chance = random.Random(seed)
        kinds = ["restart-slurmctld", "kill-sshd", "kill-engine", "kill-engine", "cut", "power-loss"]
        return cls(
            # A busy machine bundles more, and submits as seldom as three times.
            submissions={side: chance.sample(["lies", "hangs-up", "works"], 3) for side in SIDES},
            faults=[
                Fault(kind=kind, side=chance.choice(SIDES), pause_s=chance.uniform(0.2, 3.0))
                for kind in chance.sample(kinds, len(kinds))
            ],
        )


@dataclass(kw_only=True)
class Ordeal:
    """A run that everything happens to."""

    clusters: Clusters
    mischief: Mischief
    engine: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Each sbatch knows what it has to do, and nobody waits long for a site that is silent."""
        for side, site in self.clusters.sites.items():
            behaviour = f"{self.clusters.workdir}/behaviour"
            (site.root / "usr/local/bin/sbatch").write_text(SBATCH.format(behaviour=behaviour))
            (site.root / "usr/local/bin/sbatch").chmod(0o755)
            words = "\\n".join(self.mischief.submissions[side])
            site.execute("/bin/sh", "-c", f"printf '{words}\\n' >{behaviour}; chown alice {behaviour}")
        file = self.clusters.home / "sites.yaml"
        file.write_text(file.read_text().replace("{host:", "{connect_timeout_s: 3, keepalive_s: 2, host:"))

    def go(self) -> None:
        """The run has come to its end, faults and all."""
        self.start("run", self.clusters.write(workflow()), "--no-report")
        wait_until(self.at_work, within_s=120, what="the first task")
        for fault in self.mischief.faults:
            time.sleep(fault.pause_s)
            self.carry_out(fault)
        for site in self.clusters.sites.values():
            site.execute("touch", f"{self.clusters.workdir}/counters/faults-are-over")
        assert self.engine is not None
        assert self.engine.wait(timeout=DEADLINE_S) == 0

    def at_work(self) -> bool:
        """Some task has begun."""
        assert self.engine is not None
        assert self.engine.poll() is None, "the engine gave up"
        return any(map(self.lines, SIDES))

    def carry_out(self, fault: Fault) -> None:
        """One thing breaks, and is mended."""
        site = self.clusters.sites[fault.side]
        assert self.engine is not None
        assert self.engine.poll() is None, "the engine gave up"
        if fault.kind == "kill-engine":
            self.stop()
            self.start("resume", "--no-report")
        elif fault.kind == "power-loss":
            site.fault("power-off")
            site.fault("power-on")
        else:
            site.fault(fault.kind, {"cut": 10, "restart-slurmctld": 2, "kill-sshd": 1}[fault.kind])

    def start(self, *words: object) -> None:
        """An engine is at work; what it says is kept."""
        with (self.clusters.home / "said").open("ab") as said:
            self.engine = subprocess.Popen(
                [*PROGRAM, "--home", str(self.clusters.home), *map(str, words)],
                env=environment(), stdout=said, stderr=said,
            )  # fmt: skip

    def stop(self) -> None:
        """The engine is dead."""
        if self.engine is not None:
            self.engine.kill()
            self.engine.wait()

    def lines(self, side: str) -> list[list[str]]:
        """(begins or ends, attempt) for everything that tasks of a site did."""
        path = self.clusters.sites[side].root / self.clusters.workdir[1:] / "counters" / side
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def clean(self) -> None:
        """The sites are as they were."""
        for site in self.clusters.sites.values():
            (site.root / "usr/local/bin/sbatch").unlink(missing_ok=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A repetition for each seed."""
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--seed")
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--repetitions")))


@pytest.fixture
def ordeal(testbed: Testbed, tmp_path: Path, seed: int) -> Iterator[Ordeal]:
    """Two fresh homes at two sites that tests may break."""
    sites = {side: testbed.site(name) for side, name in zip(SIDES, NAMES, strict=True)}
    made = Ordeal(clusters=make_home(tmp_path, sites), mischief=Mischief.of(seed))
    made.prepare()
    yield made
    made.stop()
    made.clean()


@pytest.mark.slow
def test_every_task_is_done_once_whatever_breaks(ordeal: Ordeal, seed: int) -> None:
    """And the run's journal explains every recovery."""
    try:
        ordeal.go()
        record = ordeal.clusters.record()
        check_done_once(ordeal, record)
        check_explained(ordeal, record)
    except BaseException:
        sys.stdout.write(f"seed {seed}: {ordeal.mischief}\n{(ordeal.clusters.home / 'said').read_text()[-6000:]}")
        raise


def check_done_once(ordeal: Ordeal, record: RunRecord) -> None:
    """By what the sites themselves wrote down."""
    assert record.state == "COMPLETED", record.message
    assert record.counts == {"COMPLETED": 2 * sum(TASKS.values())}
    for side in SIDES:
        tasks = [task for step in record.steps if step.site == side for task in step.tasks]
        lost_power = any(fault.kind == "power-loss" and fault.side == side for fault in ordeal.mischief.faults)
        begun = Counter(attempt for word, attempt in ordeal.lines(side) if word == "begins")
        ended = Counter(attempt for word, attempt in ordeal.lines(side) if word == "ends")
        attempts = {attempt.directory.split(f"/{record.id}/")[1] for task in tasks for attempt in task.attempts}
        believed = [attempt for task in tasks for attempt in task.attempts if attempt.state == "COMPLETED"]
        assert len(believed) == len(tasks)
        assert all(ended[attempt.directory.split(f"/{record.id}/")[1]] >= 1 for attempt in believed)
        assert set(begun) <= attempts
        twice = {attempt: count for attempt, count in begun.items() if count > 1}
        assert sum(twice.values()) <= (2 * CORES if lost_power else 0), twice
        assert 0 <= ended.total() - len(tasks) <= (CORES if lost_power else 0)


def check_explained(ordeal: Ordeal, record: RunRecord) -> None:
    """By the events of the run."""
    events = Counter(event.kind for event in record.events)
    about = {kind: {event.subject for event in record.events if event.kind == kind} for kind in events}
    killed = sum(fault.kind == "kill-engine" for fault in ordeal.mischief.faults)
    assert 1 <= events["run.resumed"] <= killed  # one may be killed before it has taken anything up
    for step in record.steps:
        for task in step.tasks:
            for attempt in task.attempts[:-1]:
                assert attempt.token in about.get("task.interrupted", ()), attempt
    for side, words in ordeal.mischief.submissions.items():
        messages = " ".join(event.message for event in record.events if event.subject == side)
        done = ordeal.clusters.sites[side].execute("cat", f"{ordeal.clusters.workdir}/behaviour.done").split()
        assert {"lies", "hangs-up"} <= set(done), words
        if not events["run.resumed"]:
            assert "Socket timed out" in messages
    assert about["task.found"]
    silent: set[str] = set()
    for event in record.events:
        if event.kind in SILENCES:
            silent.add(event.subject)
        elif event.kind == "site.answers":
            silent.discard(event.subject)
        elif event.kind == "run.resumed":
            silent.clear()
    assert silent == set()
