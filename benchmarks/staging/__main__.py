"""Convoy beside scp, rsync, rclone and globus-url-copy: python -m benchmarks.staging --help."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from benchmarks.login import NoSiteError, sites
from benchmarks.orchestration.environments import EnvironmentFailedError, environment_of, own_environment
from benchmarks.orchestration.rounds import RunFailedError
from benchmarks.staging.cable import LINKS, Link, laid
from benchmarks.staging.contenders import Contender, Convoy, GlobusUrlCopy, Load, Rclone, Rsync, Scp, Tar
from benchmarks.staging.moves import Yard, made, turns
from benchmarks.staging.results import BIG, SMALL, Choice, Run, bars, summaries
from benchmarks.staging.tables import render_choices, render_document, render_table
from benchmarks.staging.tools import packages_with, version_of
from orchestrator.quantities import parse_size

_FOLDER = Path(".bench")
_PEERS = ("rsync", "globus-url-copy", "scp", "rclone", "tar")


_PLAIN: dict[str, Callable[[], Contender]] = {"rsync": Rsync, "scp": Scp, "globus-url-copy": GlobusUrlCopy, "tar": Tar}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table and the bars, and keeps a JSON document. A missed bar is told, and is no failure."""
    options = _parser().parse_args(arguments)
    folder = _FOLDER.resolve()
    folder.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder, prefix="staging-"))
    try:
        yard = Yard(
            cable=laid(*options.sites),
            packages=packages_with(["globus-url-copy", "rsync", "scp"], folder / "environments"),
            folder=work,
        )
        _measured(yard, options, folder)
    except NoSiteError as error:
        print(f"SKIPPED benchmarks.staging: {error}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.staging", description=main.__doc__)
    parser.add_argument(
        "--size", type=parse_size, default="1GiB", metavar="SIZE", help="of the large file; default: 1GiB"
    )
    whole = "of that size over slow links, too; by default 512 MiB (wan) and 256 MiB (lossy)"
    parser.add_argument("--whole", action="store_true", help=whole)
    parser.add_argument("--files", type=_files, default="5000x20kB", metavar="NxSIZE", help="default: 5000x20kB")
    parser.add_argument(
        "--links", type=_links, default=",".join(LINKS), metavar="NAME,NAME", help=f"of {', '.join(LINKS)}"
    )
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="rounds; default: 1")
    parser.add_argument("--peers", type=_peers, default=",".join(_PEERS), metavar="NAME,NAME", help="all; '' for none")
    parser.add_argument(
        "--probes", default="64MiB", type=parse_size, metavar="SIZE", help="by which links are learned; default: 64MiB"
    )
    parser.add_argument("--no-choices", action="store_true", help="Convoy knows nothing of the links")
    parser.add_argument("--sites", type=_pair, default="sta,stb", metavar="FROM,TO", help="of the testbed, brought up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: .bench/results/staging-<time>.json")
    own = "default: this project as it stands, in an environment of its own"
    parser.add_argument("--convoy", type=Path, metavar="PROGRAM", help=own)
    parser.add_argument("--stop", action="store_true", help="stop the sites at the end")
    return parser


def _files(text: str) -> tuple[int, int]:
    count, _, size = text.partition("x")
    return int(count), parse_size(size)


def _pair(text: str) -> tuple[str, str]:
    source, _, destination = text.partition(",")
    return source, destination


def _links(text: str) -> list[Link]:
    return [LINKS[name] for name in _names(text, tuple(LINKS))]


def _peers(text: str) -> list[str]:
    return _names(text, _PEERS)


def _names(text: str, known: Sequence[str]) -> list[str]:
    names = [part for part in text.split(",") if part]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return names


def _measured(yard: Yard, options: argparse.Namespace, folder: Path) -> None:
    moment = time.strftime("%Y%m%d-%H%M%S")
    learned = yard.folder / "learned"
    program = options.convoy or own_environment(folder / "environments") / "convoy"
    ours = Convoy(program.absolute(), learned)
    found = [(ours, version("convoy-hpc")), *_available(options.peers, yard, folder / "environments")]
    contenders: list[Contender] = [contender for contender, _ in found]
    payload = folder / "payload"
    count, size = options.files
    small = made(payload, SMALL, files=count, file_bytes=size)
    loads = {link.name: [_large(payload, link, options), small] for link in options.links}
    few = made(payload, SMALL, files=max(2, count // 10), file_bytes=size)
    probes = [made(payload, BIG, files=1, file_bytes=options.probes), few]
    runs: list[Run] = []
    choices: list[Choice] = []
    try:
        for link in options.links:
            yard.cable.shape(link)
            if not options.no_choices:
                choices += _chosen(yard, probes, link, learned)
            for load in loads[link.name]:
                runs += _told_runs(yard, contenders, load, link, options.repeat)
    finally:
        yard.clear()
        yard.cable.shape(LINKS["none"])
        if options.stop:
            sites("stop", *options.sites)
    rows = summaries(runs)
    floors = {
        (link.name, load.name): seconds
        for link in options.links
        for load in loads[link.name]
        if (seconds := link.seconds(load.size_bytes)) is not None
    }
    told = bars(rows, choices, floors=floors)
    labels = {contender.name: f"{contender.label} {number}" for contender, number in found}
    sizes = {(name, load.name): load.size_bytes for name, row in loads.items() for load in row}
    console = Console(width=max(170, Console().width), soft_wrap=True)
    console.print(render_table(rows, labels, sizes, files=count))
    for line in (*render_choices(choices), *told):
        console.print(str(line), highlight=False)
    file = options.json or folder / "results" / f"staging-{moment}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    facts = {"versions": labels, "bytes": {" ".join(cell): size for cell, size in sizes.items()}}
    file.write_text(json.dumps(render_document(runs, rows, choices, told, facts), indent=2) + "\n")
    console.print(f"kept in {file}", highlight=False)


def _large(payload: Path, link: Link, options: argparse.Namespace) -> Load:
    size_bytes: int = options.size if options.whole else min(options.size, link.most_bytes)
    return made(payload, BIG, files=1, file_bytes=size_bytes)


def _chosen(yard: Yard, probes: Sequence[Load], link: Link, learned: Path) -> list[Choice]:
    """What Convoy makes of the link; nothing, and a word about it, where that failed."""
    try:
        choices = yard.choices(probes, link, rounds=3, learned=learned)
    except RunFailedError as error:
        print(f"FAILED {error}", flush=True)
        return []
    for choice in choices:
        print(f"  {link.name:<6} {choice.load:<6} {choice.probes} probes, chosen: {choice.chosen}", flush=True)
    return choices


def _told_runs(yard: Yard, contenders: Sequence[Contender], load: Load, link: Link, repeat: int) -> Iterator[Run]:
    """Every run; who failed or was stopped once is told, and not asked again."""
    out: set[str] = set()
    load.warm()
    for contender in turns(contenders, load, repeat):
        if contender.name in out:
            continue
        try:
            run = yard.measured(contender, load, link)
        except RunFailedError as error:
            print(f"FAILED {contender.name}: {error}", flush=True)
            out.add(contender.name)
            continue
        if run.stopped:
            out.add(contender.name)
        stopped = ", stopped" if run.stopped else ""
        print(
            f"  {link.name:<6} {load.name:<6} {contender.name:<16} {run.verified_s:7.2f} s verified, "
            f"{run.plain_s:7.2f} s transfer, {run.cpu_s:6.2f} CPU s {run.way}{stopped}",
            flush=True,
        )
        yield run


def _available(names: Sequence[str], yard: Yard, environments: Path) -> Iterator[tuple[Contender, str]]:
    """The peers that there are, with their versions; the others are named aloud."""
    for name in names:
        contender: Contender
        if name == "rclone":
            try:
                program = environment_of("rclone", environments) / "rclone"
            except EnvironmentFailedError as error:
                print(f"SKIPPED rclone: {error}", flush=True)
                continue
            contender, asked = Rclone(program), [str(program), "version"]
        else:
            contender = _PLAIN[name]()
            asked = {"scp": ["ssh", "-V"], "globus-url-copy": ["globus-url-copy", "-version"]}.get(
                name, [name, "--version"]
            )
        number = version_of(yard.cable.at_source(asked, packages=yard.packages))
        if number is None:
            print(f"SKIPPED {name}: it is neither on this machine nor in its package archive", flush=True)
            continue
        yield contender, number


if __name__ == "__main__":
    main()
