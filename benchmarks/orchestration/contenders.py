"""Who is measured: how each is told to run no-op tasks, and how many it says that it has run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from benchmarks.orchestration.environments import REQUIREMENTS


class Contender(Protocol):
    """A program that can run many tasks."""

    name: str
    label: str
    version: str

    def command(self, folder: Path, tasks: int) -> list[str]:
        """Writes what the program needs into an empty folder; returns the command, which is run there."""

    def completed(self, folder: Path, log: str) -> int:
        """How many tasks ended well, by what the program itself left behind or said."""


class Convoy:
    """The real command line, with the embedded site: its journal is on, as always."""

    name = "convoy"
    label = "Convoy"

    def __init__(self, program: Path, version: str) -> None:
        self._program = program
        self.version = version

    def command(self, folder: Path, tasks: int) -> list[str]:
        """One step scattered over a range."""
        step = {"scatter": {"n": {"range": tasks}}, "command": ["true"]}
        (folder / "workflow.yaml").write_text(json.dumps({"name": "noop", "steps": {"a": step}}))
        # The peers write no report either.
        return [str(self._program), "--home", str(folder / "home"), "run", "--no-report", "workflow.yaml"]

    def completed(self, folder: Path, log: str) -> int:
        """As the journal tells it."""
        del log
        return _events(folder)[0]

    def sustained_s(self, folder: Path) -> float:
        """Seconds from the first submission to the last completion, as the journal's events tell it."""
        return _events(folder)[1]


def _events(folder: Path) -> tuple[int, float]:
    question = """
        SELECT sum(kind = 'task.completed'),
               max(CASE WHEN kind = 'task.completed' THEN at END) - min(CASE WHEN kind = 'task.submitting' THEN at END)
        FROM events
    """
    with closing(sqlite3.connect(folder / "home" / "convoy.db")) as database:
        count, seconds = database.execute(question).fetchone()
    return count or 0, seconds or 0.0


class StreamFlow:
    """StreamFlow's CWL runner with its local deployment: the same scatter, written in CWL."""

    name = "streamflow"
    label = "StreamFlow"

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.version = pinned("streamflow", "streamflow")

    def command(self, folder: Path, tasks: int) -> list[str]:
        """JSON is YAML, hence CWL."""
        tool = {
            "cwlVersion": "v1.2", "class": "CommandLineTool", "baseCommand": ["true"],
            "inputs": {"n": "int"}, "outputs": [],
        }  # fmt: skip
        workflow = {
            "cwlVersion": "v1.2", "class": "Workflow", "requirements": {"ScatterFeatureRequirement": {}},
            "inputs": {"numbers": "int[]"}, "outputs": [],
            "steps": {"a": {"run": "tool.cwl", "scatter": "n", "in": {"n": "numbers"}, "out": []}},
        }  # fmt: skip
        (folder / "tool.cwl").write_text(json.dumps(tool))
        (folder / "workflow.cwl").write_text(json.dumps(workflow))
        (folder / "inputs.json").write_text(json.dumps({"numbers": list(range(tasks))}))
        return [str(self._programs / "cwl-runner"), "workflow.cwl", "inputs.json"]

    def completed(self, folder: Path, log: str) -> int:
        """It logs each task as it starts, and ends with an error when one fails."""
        del folder
        return log.count("EXECUTING step /a (job")


class Snakemake:
    """Snakemake with two cores and its quicker scheduler; each job touches a file, without which it runs nothing."""

    name = "snakemake"
    label = "Snakemake"

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.version = pinned("snakemake", "snakemake")

    def command(self, folder: Path, tasks: int) -> list[str]:
        """One rule with a wildcard."""
        rules = f"""
rule all:
    input: expand("done/{{n}}", n=range({tasks}))

rule a:
    output: touch("done/{{n}}")
    shell: "true"
"""
        (folder / "Snakefile").write_text(rules)
        return [str(self._programs / "snakemake"), "--cores", "2", "--scheduler", "greedy"]

    def completed(self, folder: Path, log: str) -> int:
        """The files that its jobs left."""
        del log
        return sum(1 for _ in (folder / "done").iterdir())


class Psij:
    """PSI/J's local executor: a library that starts all jobs at once, without slots, workflow or journal."""

    name = "psij"
    label = "PSI/J"

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.version = pinned("psij", "psij-python")

    def command(self, folder: Path, tasks: int) -> list[str]:
        """A script that submits all and waits for all."""
        del folder
        return [str(self._programs / "python"), str(Path(__file__).parents[1] / "psij_jobs.py"), "local", str(tasks)]

    def completed(self, folder: Path, log: str) -> int:
        """As the script counts them."""
        del folder
        return int(log.rsplit(maxsplit=1)[-1])


PEERS: dict[str, type[StreamFlow | Snakemake | Psij]] = {"streamflow": StreamFlow, "snakemake": Snakemake, "psij": Psij}


def pinned(peer: str, distribution: str) -> str:
    """The version of a distribution in a peer's list of pins."""
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{distribution}=="))
