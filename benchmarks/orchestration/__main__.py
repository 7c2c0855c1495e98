"""Convoy beside StreamFlow, Snakemake and PSI/J: python -m benchmarks.orchestration --help."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from benchmarks.orchestration.contenders import PEERS, Contender, Convoy
from benchmarks.orchestration.environments import EnvironmentFailedError, environment_of, own_environment
from benchmarks.orchestration.results import Measurement, bars, summaries
from benchmarks.orchestration.rounds import measured_rounds
from benchmarks.orchestration.tables import machine, render_document, render_sustained, render_table

_FOLDER = Path(".bench")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table and the bars, and keeps a JSON document. A missed bar is told, and is no failure."""
    options = _parser().parse_args(arguments)
    folder = _FOLDER.resolve()
    program = options.convoy or own_environment(folder / "environments") / "convoy"
    contenders = [Convoy(program.absolute(), version("convoy-hpc")), *_peers(options.peers, folder)]
    facts = machine()
    print(f"{facts['system']}, {facts['cpus']} CPUs, Python {facts['python']}, load {facts['load']}", flush=True)
    measurements: list[Measurement] = []
    moment = time.strftime("%Y%m%d-%H%M%S")
    work = (options.work or folder / "work").absolute() / moment
    for row in measured_rounds(contenders, tasks=options.tasks, repeat=options.repeat, folder=work):
        measurements.append(row)
        print(f"  {row.tasks:>6,} {row.contender:<10} {row.wall_s:7.2f} s {row.cpu_s:7.2f} CPU s", flush=True)
    kept = folder / "results" / f"orchestration-{moment}.json"
    _tell(measurements, contenders, options.json or kept)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=main.__doc__)
    parser.add_argument("--tasks", type=_numbers, default=[100, 1000], metavar="N,N", help="default: 100,1000")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds; default: 3")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="where they run; default: .bench/work")
    peers = ",".join(PEERS)
    parser.add_argument("--peers", type=_names, default=peers, metavar="NAME,NAME", help=f"default: {peers}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .bench/results/orchestration-<time>.json")
    own = "default: this project as it stands, in an environment of its own"
    parser.add_argument("--convoy", type=Path, metavar="PROGRAM", help=own)
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    names = [part for part in text.split(",") if part]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)}")
    return names


def _peers(names: Sequence[str], folder: Path) -> list[Contender]:
    """Those that can be installed here; the others are named aloud."""
    found: list[Contender] = []
    for name in names:
        try:
            found.append(PEERS[name](environment_of(name, folder / "environments")))
        except EnvironmentFailedError as error:
            print(f"SKIPPED {name}: {error}", flush=True)
    return found


def _tell(measurements: Sequence[Measurement], contenders: Sequence[Contender], file: Path) -> None:
    rows = summaries(measurements)
    told = bars(rows)
    console = Console(width=max(110, Console().width), soft_wrap=True)
    console.print(render_table(rows, {row.name: f"{row.label} {row.version}" for row in contenders}))
    for line in (*render_sustained(rows), *told):
        console.print(str(line), highlight=False)
    versions = {row.name: row.version for row in contenders}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(render_document(measurements, rows, told, versions), indent=2) + "\n")
    console.print(f"kept in {file}", highlight=False)


if __name__ == "__main__":
    main()
