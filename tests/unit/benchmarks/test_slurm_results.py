"""What is made of runs on a real cluster."""

import json
from pathlib import Path

import pytest

from benchmarks.login import Login
from benchmarks.orchestration.results import Measurement
from benchmarks.slurm.contenders import ConvoyArrays, ConvoyFromOutside, StreamFlowFromOutside
from benchmarks.slurm.results import Observation, bars, rows, spread
from benchmarks.slurm.tables import render_document, render_lags, render_table
from orchestrator.sites import load_sites


def run(contender: str, wall_s: float, commands: dict[str, int], *lags_s: float) -> Observation:
    measurement = Measurement(contender=contender, tasks=50, wall_s=wall_s, cpu_s=1.0, peak_bytes=1)
    return Observation(measurement=measurement, commands=commands, lags_s=lags_s)


def told(*observations: Observation, command_ms: tuple[float, ...] = ()) -> list[str]:
    return list(map(str, bars(rows(observations), command_ms=command_ms)))


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    (tmp_path / "sites" / "agh").mkdir(parents=True)
    (tmp_path / "sites" / "agh" / "address").write_text("10.0.0.9\n")
    monkeypatch.setattr(Login, "new_folder", lambda _: "/home/alice/bench-1")
    return Login(name="agh", state=tmp_path)


def test_commands_are_counted_for_each_hundred_jobs():
    [row] = rows([run("convoy", 1, {"sbatch": 1, "sinfo": 9}), run("convoy", 3, {"sbatch": 3, "squeue": 2})])
    assert row.commands == {"sbatch": 2, "sinfo": 4.5, "squeue": 1}
    assert row.asked == 6  # sinfo asks for no job


def test_only_peers_from_outside_are_raced_and_all_are_counted():
    assert told(
        run("convoy", 2, {"sbatch": 1}, 0.2, 0.4, 1.5),
        run("convoy-arrays", 1, {"sbatch": 1}),
        run("streamflow", 8, {"sbatch": 50, "squeue": 50}),
        run("psij", 4, {"sbatch": 9}),
        command_ms=(1.0, 2.0, 9.0),
    ) == [
        "bar: at least 3x faster end to end than the best peer from outside: 4.0x, met",
        "bar: scheduler commands for 100 jobs at most a tenth of the peers' best: 2 against 18, missed",
        "bar: median lag at most 1 s: 0.40 s, met",
        "bar: SSH command at most 3 ms on an open connection: 2.0 ms, met",
    ]


def test_what_was_not_measured_is_not_told():
    assert told(run("streamflow", 8, {})) == []
    assert told(run("convoy", 8, {})) == []


def test_the_spread_of_lags_is_told():
    lags = [n / 100 for n in range(100)]
    assert spread(lags).startswith("median 0.4") or spread(lags).startswith("median 0.5")
    assert spread([1.0]) == ""
    found = rows([run("convoy", 1, {}, *lags)])
    assert "most 0.99 s" in render_lags(found, {"convoy": "Convoy"})[0]


def test_results_become_a_table_and_a_document():
    seen = [run("convoy", 1, {"sbatch": 1}, 0.5), run("psij", 2, {"sbatch": 50})]
    found = rows(seen)
    assert render_table(found, {"convoy": "C", "psij": "P"}, rtt_ms=30).row_count == 2
    document = json.loads(json.dumps(render_document(seen, found, bars(found, command_ms=()), {"rtt_ms": 30})))
    assert document["rows"][1]["summary"]["ratio"] == 2
    assert document["rows"][0]["asked"] == 2


@pytest.mark.parametrize(("kind", "bundle_s"), [(ConvoyFromOutside, 60.0), (ConvoyArrays, 0.0)])
def test_convoy_gets_a_site_that_it_understands(kind, bundle_s, login, tmp_path):
    (tmp_path / "run").mkdir()
    kind(Path("/bin/convoy"), "1", login).command(tmp_path / "run", 7)
    site = load_sites(tmp_path / "run" / "home" / "sites.yaml").sites["agh"]
    assert (site.bundle, site.executes_by) == (bundle_s, "slurm over ssh")


def test_streamflow_is_bound_to_the_cluster_with_room_for_all_jobs(login, tmp_path):
    command = StreamFlowFromOutside(Path("/env/bin"), login).command(tmp_path, 7)
    assert command == ["/env/bin/streamflow", "run", "streamflow.yml"]
    document = json.loads((tmp_path / "streamflow.yml").read_text())
    assert document["deployments"]["cluster"]["config"] == {"maxConcurrentJobs": 7, "pollingInterval": 1}
    assert document["deployments"]["login"]["config"]["nodes"] == ["10.0.0.9"]
