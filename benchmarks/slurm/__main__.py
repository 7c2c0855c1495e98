"""Convoy beside StreamFlow, Snakemake and PSI/J on a real SLURM cluster: python -m benchmarks.slurm --help."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.login import Login, NoSiteError, bring_up, sites
from benchmarks.orchestration.contenders import Contender
from benchmarks.orchestration.environments import EnvironmentFailedError, environment_of, packages_of
from benchmarks.orchestration.rounds import RunFailedError, measure, rounds
from benchmarks.slurm.commands import command_ms
from benchmarks.slurm.contenders import AT_LOGIN, OURS, StreamFlowFromOutside, lags_s
from benchmarks.slurm.results import Observation, bars, rows
from benchmarks.slurm.tables import render_document, render_lags, render_table

_FOLDER = Path(".bench")
_ALL = (*OURS, "streamflow", *AT_LOGIN)
_USUAL = ("convoy", "convoy-arrays", "streamflow", "snakemake", "psij")
"""Snakemake's job arrays are left out: they take longer than its single jobs."""

_LIMIT_S = 1800.0
"""A contender that starts two Pythons for each of a hundred jobs needs minutes on two cores."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table and the bars, and keeps a JSON document. A missed bar is told, and is no failure."""
    options = _parser().parse_args(arguments)
    try:
        _measured_at(bring_up(options.site), options)
    except NoSiteError as error:
        print(f"SKIPPED benchmarks.slurm: {error}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm", description=main.__doc__)
    parser.add_argument("--site", default="bench", metavar="NAME", help="of the testbed, brought up; default: bench")
    parser.add_argument("--rtt", type=float, default=30.0, metavar="MS", help="between two such sites; default: 30")
    parser.add_argument("--tasks", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="rounds; default: 3")
    parser.add_argument(
        "--contenders", type=_names, default=",".join(_USUAL), metavar="NAME,NAME", help=f"of {', '.join(_ALL)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .bench/results/slurm-<time>.json")
    ours = Path(sys.executable).parent / "convoy"
    parser.add_argument("--convoy", type=Path, default=ours, metavar="PROGRAM", help="default: convoy beside Python")
    parser.add_argument("--stop", action="store_true", help="stop the site at the end")
    return parser


def _names(text: str) -> list[str]:
    names = [part for part in text.split(",") if part]
    unknown = [name for name in names if name not in _ALL]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such contender: {', '.join(unknown)}; there are {', '.join(_ALL)}")
    return names


def _measured_at(login: Login, options: argparse.Namespace) -> None:
    moment = time.strftime("%Y%m%d-%H%M%S")
    folder = _FOLDER.resolve()
    contenders = _contenders(login, options, folder / "environments")
    observations: list[Observation] = []
    login.shape(0)
    latencies = command_ms(login)
    print(f"an SSH command, no distance: median {median(latencies):.2f} ms, least {min(latencies):.2f} ms", flush=True)
    login.shape(options.rtt)
    try:
        with login.counting():
            taken = rounds(
                contenders,
                partial(_observed, login),
                tasks=[options.tasks],
                repeat=options.repeat,
                folder=folder / "work" / moment,
            )
            for one in taken:
                if one is None:
                    continue
                observations.append(one)
                row = one.measurement
                print(f"  {row.tasks:>6,} {row.contender:<18} {row.wall_s:7.2f} s  {dict(one.commands)}", flush=True)
    finally:
        login.shape(0)
        if options.stop:
            sites("stop", login.name)
    _tell(observations, contenders, latencies, options, folder / "results" / f"slurm-{moment}.json")


def _contenders(login: Login, options: argparse.Namespace, environments: Path) -> list[Contender]:
    """Those that can be installed here; the others are named aloud."""

    def peer(name: str) -> Contender:
        if name == "streamflow":
            return StreamFlowFromOutside(environment_of(name, environments), login)
        packages, kind = AT_LOGIN[name]
        return kind(packages_of(packages, environments, python=login.python), login)

    def ours(name: str) -> Contender:
        return OURS[name](options.convoy.absolute(), version("convoy-hpc"), login)

    found: list[Contender] = []
    for name in options.contenders:
        make: Callable[[str], Contender] = ours if name in OURS else peer
        try:
            found.append(make(name))
        except EnvironmentFailedError as error:
            print(f"SKIPPED {name}: {error}", flush=True)
    return found


def _observed(login: Login, contender: Contender, tasks: int, work: Path) -> Observation | None:
    """One run; None, and a word about it, when it came to nothing: the others are measured all the same."""
    login.forget_commands()
    try:
        measurement = measure(contender, tasks, work, limit_s=_LIMIT_S)
    except RunFailedError as error:
        print(f"FAILED {contender.name}: {error}", flush=True)
        return None
    lags = tuple(lags_s(work / "run")) if contender.name in OURS else ()
    return Observation(measurement=measurement, commands=login.commands(), lags_s=lags)


def _tell(
    observations: Sequence[Observation],
    contenders: Sequence[Contender],
    latencies: Sequence[float],
    options: argparse.Namespace,
    kept: Path,
) -> None:
    found = rows(observations)
    told = bars(found, command_ms=latencies)
    labels = {row.name: f"{row.label} {row.version}" for row in contenders}
    console = Console(width=max(150, Console().width), soft_wrap=True)
    console.print(render_table(found, labels, rtt_ms=options.rtt))
    for line in (*render_lags(found, labels), *told):
        console.print(str(line), highlight=False)
    facts = {"rtt_ms": options.rtt, "command_ms": list(latencies), "versions": labels}
    file = options.json or kept
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(render_document(observations, found, told, facts), indent=2) + "\n")
    console.print(f"kept in {file}", highlight=False)


if __name__ == "__main__":
    main()
