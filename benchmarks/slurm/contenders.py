"""Who is measured: how each is told to have a cluster run no-op jobs, and how many it says that have run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.login import Login
from benchmarks.orchestration.contenders import Contender, Convoy, StreamFlow, pinned

_POLL_S = 1
"""What the peers can be told at the least, where they take whole seconds."""


class ConvoyFromOutside(Convoy):
    """Convoy's own defaults: nothing is known of the tasks, because each run has an empty home."""

    name = "convoy"
    label = "Convoy"
    bundle = "60s"

    def __init__(self, program: Path, version: str, login: Login) -> None:
        super().__init__(program, version)
        self._login = login

    def command(self, folder: Path, tasks: int) -> list[str]:
        """One step scattered over a range."""
        words = super().command(folder, tasks)
        site = {
            "workdir": self._login.new_folder(),
            "scheduler": "slurm",
            "runner": {"type": "ssh", "options": {"host": self._login.name, "config_file": str(self._login.config)}},
            "storage": "command",
            "bundle": self.bundle,
        }
        (folder / "home").mkdir()
        (folder / "home" / "sites.yaml").write_text(json.dumps({"sites": {self._login.name: site}}))
        return words


class ConvoyArrays(ConvoyFromOutside):
    """The same without bundles: an element of a job array for each task."""

    name = "convoy-arrays"
    label = "Convoy, bundle: false"
    bundle = "0s"


def lags_s(folder: Path) -> list[float]:
    """Seconds between the end of each task, by its own receipt, and the note of it in Convoy's journal."""
    question = """
        SELECT events.at - attempts.ended_at FROM events JOIN attempts ON attempts.token = events.subject
        WHERE events.kind = 'task.completed'
    """
    with closing(sqlite3.connect(folder / "home" / "convoy.db")) as database:
        return [row[0] for row in database.execute(question)]


class StreamFlowFromOutside(StreamFlow):
    """The SSH connector with SLURM's on top: as many jobs at a time as there are, asked for every second."""

    label = "StreamFlow"

    def __init__(self, programs: Path, login: Login) -> None:
        super().__init__(programs)
        self._login = login

    def command(self, folder: Path, tasks: int) -> list[str]:
        """The CWL workflow of the other benchmark, bound to the cluster."""
        super().command(folder, tasks)
        ssh = {
            "nodes": [self._login.address], "username": "alice", "sshKey": str(self._login.key),
            "checkHostKey": False, "maxConcurrentSessions": 10, "maxConnections": 4,
        }  # fmt: skip
        slurm = {"maxConcurrentJobs": tasks, "pollingInterval": _POLL_S}
        document = {
            "version": "v1.0",
            "workflows": {
                "noop": {
                    "type": "cwl",
                    "config": {"file": "workflow.cwl", "settings": "inputs.json"},
                    "bindings": [{"step": "/", "target": {"deployment": "cluster"}}],
                }
            },
            "deployments": {
                "login": {"type": "ssh", "config": ssh},
                "cluster": {
                    "type": "slurm", "config": slurm, "wraps": "login", "workdir": self._login.new_folder(),
                },
            },
        }  # fmt: skip
        (folder / "streamflow.yml").write_text(json.dumps(document))
        return [str(self._programs / "streamflow"), "run", "streamflow.yml"]


class SnakemakeAtLogin:
    """Snakemake's SLURM executor on the login node; each job touches a file, without which it runs nothing."""

    name = "snakemake"
    label = "Snakemake, on the login node"
    options: tuple[str, ...] = ()

    def __init__(self, packages: Path, login: Login) -> None:
        self._packages = packages
        self._login = login
        self._folder = ""
        self.version = (
            f"{pinned('snakemake-slurm', 'snakemake')} / {pinned('snakemake-slurm', 'snakemake-executor-plugin-slurm')}"
        )

    def command(self, folder: Path, tasks: int) -> list[str]:
        """One rule with a wildcard; everything as quick as it can be told to be."""
        del folder
        self._folder = self._login.new_folder()
        rules = f"""
rule all:
    input: expand("done/{{n}}", n=range({tasks}))

rule a:
    output: touch("done/{{n}}")
    resources: runtime=5, mem_mb=100
    shell: "true"
"""
        self._login.write(self._folder, "Snakefile", rules)
        packages = self._login.install(self._packages)
        words = (
            "python3", "-m", "snakemake", "--executor", "slurm", "--jobs", str(tasks), "--scheduler", "greedy",
            "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", str(_POLL_S),
            "--max-jobs-per-second", "1000", "--slurm-no-account", "--latency-wait", "5", *self.options,
        )  # fmt: skip
        return self._login.shell(
            self._folder, *words, PYTHONPATH=packages, PATH=f"{packages}/bin:/usr/local/bin:/usr/bin:/bin"
        )

    def completed(self, folder: Path, log: str) -> int:
        """The files that its jobs left."""
        del folder, log
        return sum(1 for _ in self._login.seen(f"{self._folder}/done").iterdir())


class SnakemakeArrays(SnakemakeAtLogin):
    """The same with its job arrays."""

    name = "snakemake-arrays"
    label = "Snakemake, --slurm-array-jobs all"
    options = ("--slurm-array-jobs", "all")


class PsijAtLogin:
    """PSI/J's SLURM executor on the login node."""

    name = "psij"
    label = "PSI/J, on the login node"

    def __init__(self, packages: Path, login: Login) -> None:
        self._packages = packages
        self._login = login
        self.version = pinned("psij", "psij-python")

    def command(self, folder: Path, tasks: int) -> list[str]:
        """A script that submits all and waits for all."""
        del folder
        place = self._login.new_folder()
        self._login.write(place, "jobs.py", (Path(__file__).parents[1] / "psij_jobs.py").read_text())
        packages = self._login.install(self._packages)
        return self._login.shell(place, "python3", "jobs.py", "slurm", str(tasks), str(_POLL_S), PYTHONPATH=packages)

    def completed(self, folder: Path, log: str) -> int:
        """As the script counts them."""
        del folder
        return int(log.rsplit(maxsplit=1)[-1])


AT_LOGIN: dict[str, tuple[str, type[SnakemakeAtLogin | PsijAtLogin]]] = {
    "snakemake": ("snakemake-slurm", SnakemakeAtLogin),
    "snakemake-arrays": ("snakemake-slurm", SnakemakeArrays),
    "psij": ("psij", PsijAtLogin),
}
"""Peers that run on the login node: name -> the list of their packages, and how they are used."""

OURS: dict[str, type[ConvoyFromOutside]] = {"convoy": ConvoyFromOutside, "convoy-arrays": ConvoyArrays}

__all__ = ["AT_LOGIN", "OURS", "Contender", "StreamFlowFromOutside", "lags_s"]
