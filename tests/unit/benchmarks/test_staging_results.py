"""What is made of transfers of the same data by several tools."""

import json
from pathlib import Path

import pytest

from benchmarks.login import Login
from benchmarks.staging.cable import LINKS
from benchmarks.staging.contenders import Convoy, GlobusUrlCopy, Load, Rclone, Rsync, Scp, Tar, Task, sums_command
from benchmarks.staging.moves import made, turns
from benchmarks.staging.results import BIG, SMALL, Choice, Run, bars, summaries
from benchmarks.staging.tables import render_choices, render_document, render_table
from orchestrator.sites import load_sites


def run(contender: str, verified_s: float, plain_s: float, *, load: str = BIG, stopped: bool = False) -> Run:
    return Run(
        link="wan", load=load, contender=contender, verified_s=verified_s, plain_s=plain_s, cpu_s=1.0, stopped=stopped
    )


def told(*runs: Run, floors: dict[tuple[str, str], float] | None = None) -> list[str]:
    return list(map(str, bars(summaries(runs), [], floors=floors or {})))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "sites" / "lrz").mkdir(parents=True)
    (tmp_path / "sites" / "lrz" / "address").write_text("10.0.0.9\n")
    load = made(tmp_path / "payload", SMALL, files=3, file_bytes=5)
    home = tmp_path / "home"
    home.mkdir()
    login = Login(name="lrz", state=tmp_path)
    return Task(load=load, link=LINKS["lossy"], destination=login, target="/home/alice/in", home=home)


def test_verified_rates_are_compared_and_what_peers_take_without_sums_is_told() -> None:
    [bar] = told(run("convoy", 10, 9), run("rsync", 11, 8), run("scp", 12, 7))
    assert bar.endswith("at least 0.95x the best peer's rate: 1.10x rsync's (0.70x scp's without sums), met")


def test_a_bar_that_the_link_itself_forbids_says_so() -> None:
    runs = [run("convoy", 4.5, 4.2, load=SMALL), run("rsync", 5, 4.4, load=SMALL)]
    [bar] = told(*runs, floors={("wan", SMALL): 4.0})
    assert "1.11x rsync's; the link's rate alone allows 1.25x at most" in bar
    assert bar.endswith("missed")


def test_who_was_stopped_and_the_experts_pipe_are_no_best_peers() -> None:
    runs = [run("convoy", 10, 9), run("scp", 5, 5, stopped=True), run("tar", 6, 6), run("rsync", 20, 15)]
    assert "2.00x rsync's" in told(*runs)[0]


def test_the_quickest_goes_first_with_its_ratio_to_convoy() -> None:
    found = summaries([run("convoy", 10, 9), run("rsync", 5, 4), run("convoy", 20, 9)])
    assert [(row.contender, row.verified_s, row.ratio) for row in found] == [
        ("rsync", 5, pytest.approx(1 / 3)),
        ("convoy", 15, 1),
    ]


@pytest.mark.parametrize(("chosen", "met"), [("tar", True), ("scp", False)])
def test_a_choice_is_held_against_the_best_of_all_ways(chosen: str, met: bool) -> None:
    seconds = {"tar": [1.05, 1.05, 9.0], "rsync": [1.0, 1.0, 1.0], "scp": [1.2, 1.3, 1.2]}
    choice = Choice(link="wan", load=BIG, probes=9, chosen=chosen, seconds=seconds)
    [bar] = bars([], [choice], floors={})
    assert (choice.best, bar.met) == ("rsync", met)


def test_tables_and_document_hold_every_run() -> None:
    runs = [run("convoy", 10, 9), run("scp", 30, 30, stopped=True)]
    rows = summaries(runs)
    choice = Choice(link="wan", load=BIG, probes=9, chosen="tar", seconds={"tar": [1.0]})
    table = render_table(rows, {"convoy": "Convoy", "scp": "scp"}, {("wan", BIG): 1 << 30}, files=5000)
    assert table.row_count == 2
    assert render_choices([choice]) == ["wan, big: after 9 probes Convoy takes tar; medians: tar 1.00 s"]
    document = json.loads(json.dumps(render_document(runs, rows, [choice], bars(rows, [choice], floors={}), {})))
    assert [len(document[part]) for part in ("runs", "summaries", "choices", "bars")] == [2, 2, 1, 1]


def test_everybody_is_told_to_bring_the_same_folder_to_the_same_place(task: Task) -> None:
    contenders = [Scp(), Rsync(), Rclone(Path("rclone")), GlobusUrlCopy(), Tar()]
    for contender in contenders:
        command = " ".join(contender.command(task))
        assert str(task.load.folder.name) in command
        assert "/home/alice/in" in command
    assert "-pp" in GlobusUrlCopy().command(task)
    assert str(task.load.folder) in sums_command(task, Path("sums"))


def test_convoy_starts_with_what_it_learned_of_the_link_and_nothing_else(task: Task, tmp_path: Path) -> None:
    learned = tmp_path / "learned"
    learned.mkdir()
    (learned / "lossy.db").write_text("history")
    command = Convoy(Path("convoy"), learned).command(task)
    assert (task.home / "convoy" / "convoy.db").read_text() == "history"
    [site] = load_sites(task.home / "convoy" / "sites.yaml").sites.values()
    assert str(site.workdir) == "/home/alice/in"
    assert command[-2:] == ["--site", "lrz"]


def test_each_round_begins_with_another_and_tar_takes_small_files_only() -> None:
    contenders = [Scp(), Tar(), Rsync()]
    many = Load(name=SMALL, folder=Path("x"), files=2, size_bytes=2)
    one = Load(name=BIG, folder=Path("x"), files=1, size_bytes=2)
    assert [row.name for row in turns(contenders, many, 2)] == ["scp", "tar", "rsync", "tar", "rsync", "scp"]
    assert [row.name for row in turns(contenders, one, 1)] == ["scp", "rsync"]


def test_data_are_made_once(tmp_path: Path) -> None:
    load = made(tmp_path, SMALL, files=3, file_bytes=7)
    before = [path.read_bytes() for path in sorted(load.folder.iterdir())]
    again = made(tmp_path, SMALL, files=3, file_bytes=7)
    assert [path.read_bytes() for path in sorted(again.folder.iterdir())] == before
    assert (len(before), len(set(before)), load.size_bytes) == (3, 3, 21)
