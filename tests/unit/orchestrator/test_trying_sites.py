"""What `site test` says of sites at which one thing is wrong. Their commands are scripts on the PATH."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from metadata.errors import NoSpaceError, NotFoundError, StagingError
from orchestrator import operations
from orchestrator.faces.json_values import render_json
from orchestrator.operations import Finding, Workspace, probes
from orchestrator.registry import load
from tests.unit.orchestrator.homes import Home

GOOD = {
    "sbatch": 'case "$*" in --version) echo slurm-wlm 24.11.5;; *) echo 42;; esac',
    "sinfo": "echo 'batch|batch*|up|1-00:00:00|0/2/0/2'; echo 'long|long|down|infinite|0/0/2/2'",
    "squeue": 'case "$*" in *--me*) ;; *) echo "42|PENDING|0|0|0|n/a|Priority|";; esac',
    "scancel": 'echo "$*" >>"$LOG"',
    "sacct": "",
    "apptainer": "echo apptainer version 1.4.5",
    "unshare": "",
}
CLUSTER = "sites:\n  agh: {workdir: made/for/agh, scheduler: slurm, container: apptainer}\n"


@dataclass(kw_only=True)
class Cluster:
    """A site whose commands can be made to say anything."""

    home: Home
    commands: Path

    def says(self, command: str, script: str) -> None:
        """What the command does from now on."""
        path = self.commands / command
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def tried(self) -> dict[str, Finding]:
        """What was found, by check. Nothing of it is left in the home, whatever was found."""
        with self.home.open() as workspace:
            found = operations.test_site(workspace, "agh")
        assert {path.name for path in self.home.folder.iterdir()} <= {"sites.yaml", "convoy.db"}
        return {finding.check: finding for finding in found}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """All is well there but the queue, which is long."""
    made = Cluster(home=Home(folder=tmp_path / "home"), commands=tmp_path / "bin")
    (made.home.folder / "sites.yaml").write_text(CLUSTER)
    made.commands.mkdir()
    for command, script in GOOD.items():
        made.says(command, script)
    monkeypatch.setenv("PATH", f"{made.commands}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "cancelled"))
    monkeypatch.setattr(probes, "JOB_LIMIT_S", 0.01)
    monkeypatch.setattr(probes, "_CANCEL_LIMIT_S", 0.0)
    return made


def bad(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.good is False]


def untried(found: dict[str, Finding]) -> list[str]:
    return [name for name, finding in found.items() if finding.good is None]


def test_a_site_where_all_is_well_but_the_queue_is_long(cluster: Cluster, tmp_path: Path) -> None:
    """A job that only waits says nothing against the site; it is taken back."""
    found = cluster.tried()
    assert (bad(found), untried(found)) == ([], ["job"])
    assert list(found) == [
        "adapters", "login", "clock", "scheduler", "partitions", "storage", "room", "container", "movers", "job"
    ]  # fmt: skip
    assert "Priority" in found["job"].detail
    assert (tmp_path / "cancelled").read_text() == "42\n"
    assert found["scheduler"].detail.startswith("slurm-wlm 24.11.5 answers")
    assert found["partitions"].detail == (
        "batch (default) up, up to 1d 00h, 2 of 2 nodes usable; long down, no time limit, 0 of 2 nodes usable"
    )
    assert found["container"].detail == "apptainer version 1.4.5"
    assert "there by posix" in found["movers"].detail


@pytest.mark.parametrize(("shift_s", "word"), [(60, "ahead"), (-60, "behind")])
def test_a_clock_that_is_wrong_is_told(cluster: Cluster, shift_s: int, word: str) -> None:
    cluster.says("date", f'exec /bin/date -d "{shift_s} seconds" "$@"')
    found = cluster.tried()
    assert bad(found) == ["clock"]
    assert word in found["clock"].detail
    assert "NTP" in found["clock"].advice


def test_a_clock_of_whole_seconds_is_read(cluster: Cluster) -> None:
    """The date of small systems prints %N as it is."""
    cluster.says("date", "/bin/date +%s.%%N")
    assert cluster.tried()["clock"].good is True


def test_a_date_that_cannot_be_read_is_told(cluster: Cluster) -> None:
    cluster.says("date", "echo Saturday")
    assert "'Saturday'" in cluster.tried()["clock"].detail


@pytest.mark.parametrize(
    ("command", "script", "words"),
    [
        ("sbatch", "echo 'sbatch: not here' >&2; exit 127", "not here"),
        ("squeue", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
    ],
)
def test_a_scheduler_that_does_not_answer_keeps_others_from_being_tried(
    cluster: Cluster, command: str, script: str, words: str
) -> None:
    cluster.says(command, script)
    found = cluster.tried()
    assert (bad(found), untried(found)) == (["scheduler"], ["partitions", "job"])
    assert words in found["scheduler"].detail
    assert "outage" in found["scheduler"].advice
    assert found["job"].detail == "not tried, for that needs: scheduler"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("batch|batch*|down|1:00|0/2/0/2", "batch, where jobs go that name none, is down"),
        ("batch|batch*|up|1:00|0/0/2/2", "no node of batch"),
        ("batch|batch|up|1:00|0/2/0/2", "no partition is the default one"),
        ("", "no partition that this user may use"),
    ],
)
def test_partitions_in_which_no_job_begins_are_told(cluster: Cluster, answer: str, words: str) -> None:
    cluster.says("sinfo", f"echo '{answer}'")
    found = cluster.tried()
    assert (bad(found), untried(found)) == (["partitions"], ["job"])
    assert words in found["partitions"].detail
    assert "attributes: {slurm.partition: NAME}" in found["partitions"].advice


def test_a_login_that_fails_leaves_nothing_to_try(cluster: Cluster) -> None:
    nowhere = "{type: ssh, options: {host: 127.0.0.1, port: 9, config_file: /dev/null}}"
    (cluster.home.folder / "sites.yaml").write_text(
        f"sites:\n  agh: {{workdir: /w, scheduler: slurm, storage: command, runner: {nowhere}}}\n"
    )
    found = cluster.tried()
    assert (bad(found), len(untried(found))) == (["login"], 8)
    assert "convoy site login agh" in found["login"].advice


def test_an_adapter_that_is_missing_is_the_one_finding(cluster: Cluster) -> None:
    (cluster.home.folder / "sites.yaml").write_text(CLUSTER.replace("apptainer", "aptainer"))
    found = cluster.tried()
    assert bad(found) == ["adapters"]
    assert "apptainer" in found["adapters"].detail


def test_a_workdir_that_cannot_be_written_is_told(cluster: Cluster) -> None:
    (cluster.home.folder / "sites.yaml").write_text(CLUSTER.replace("made/for/agh", "/proc/nowhere"))
    found = cluster.tried()
    assert (bad(found), untried(found)) == (["storage"], ["room", "movers", "job"])
    assert found["storage"].advice == "make /proc/nowhere writable, or choose another workdir"


def test_a_quota_is_found_although_the_file_system_has_room(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_storage: object, path: str, *, size_bytes: int) -> None:
        raise NoSpaceError(f"agh: no room left for {path} ({size_bytes} bytes)")

    monkeypatch.setattr(load("storages", "posix"), "probe_room", refuse)
    found = cluster.tried()
    assert bad(found) == ["room"]
    assert str(64 << 20) in found["room"].detail
    assert "quota" in found["room"].advice


@pytest.mark.parametrize(
    ("scripts", "words"),
    [
        ({"apptainer": None}, "there is no apptainer-of-agh at agh"),
        ({"unshare": "exit 1"}, "no user namespaces"),
        ({"apptainer": "echo 'missing library' >&2; exit 3"}, "missing library"),
    ],
)
def test_what_a_container_runtime_lacks_is_told(cluster: Cluster, scripts: dict[str, str | None], words: str) -> None:
    for command, script in scripts.items():
        cluster.says(command, script or "")
        if script is None:
            chosen = "container: {type: apptainer, options: {executable: apptainer-of-agh}}"
            (cluster.home.folder / "sites.yaml").write_text(CLUSTER.replace("container: apptainer", chosen))
    found = cluster.tried()
    assert bad(found) == ["container"]
    assert words in found["container"].detail
    assert "options: {executable: /PATH}" in found["container"].advice


def test_a_site_that_no_mover_reaches_is_told(cluster: Cluster) -> None:
    (cluster.home.folder / "sites.yaml").write_text(f"{CLUSTER}links: [{{from: agh, to: here, mover: rsync}}]\n")
    found = cluster.tried()
    assert bad(found) == ["movers"]
    assert "no mover reaches from agh" in found["movers"].detail


def test_a_mover_that_could_not_is_named_beside_the_one_that_could(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data get there, so nothing is wrong; but who hoped for the quicker way wants to know."""
    _hopeful(monkeypatch, "posix")
    found = cluster.tried()
    assert bad(found) == []
    assert "after hopeful could not" in found["movers"].detail


def test_a_transfer_that_fails_by_every_way_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    _hopeful(monkeypatch)
    found = cluster.tried()
    assert bad(found) == ["movers"]
    assert found["movers"].detail == "from here to agh by hopeful: not here"


def _hopeful(monkeypatch: pytest.MonkeyPatch, *others: str) -> None:
    """The first of the movers is one that never can."""

    class Hopeful(load("movers", "posix")):  # type: ignore[misc]
        def move(self, request: object, *, progress: Callable[[int], None]) -> object:
            del request, progress
            raise StagingError("not here")

    movers = {"hopeful": Hopeful(), **{name: load("movers", name)() for name in others}}
    monkeypatch.setattr(Workspace, "movers", movers)


def test_a_job_that_is_refused_is_told_in_the_sites_words(cluster: Cluster) -> None:
    refusal = "echo 'sbatch: error: Invalid account or account/partition combination' >&2; exit 1"
    cluster.says("sbatch", f'case "$*" in --version) echo slurm-wlm 24.11.5;; *) {refusal};; esac')
    found = cluster.tried()
    assert bad(found) == ["job"]
    assert "Invalid account" in found["job"].detail


def test_a_job_whose_answer_got_lost_is_taken_back(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever tried the site leaves no job there."""
    queue = tmp_path / "queue"
    keep = f"sed -n 's/^#SBATCH --job-name=//p' \"$2\" | sed 's/.*/42|&|/' | tr -d '\"' >{queue}"
    lost = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1"
    cluster.says("sbatch", f'case "$*" in --version) echo slurm-wlm 24.11.5;; *) {keep}; {lost};; esac')
    cluster.says("squeue", f"cat {queue} 2>/dev/null || true")
    found = cluster.tried()
    assert bad(found) == ["job"]
    assert "timed out" in found["job"].detail
    assert (tmp_path / "cancelled").read_text() == "42\n"


def test_what_cannot_be_removed_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = load("storages", "posix")
    really = storage.remove

    def refuse(self: object, path: str) -> None:
        really(self, path)
        if "/made/for/agh/.probe-" in path:
            raise NotFoundError("the disk is gone")

    monkeypatch.setattr(storage, "remove", refuse)
    with cluster.home.open() as workspace:
        left = operations.test_site(workspace, "agh")[-1]
    assert (left.check, left.good, left.detail) == ("tidying", False, "the disk is gone")
    assert ".probe-" in left.advice


def test_a_workdir_that_was_there_stays_with_all_that_is_in_it(cluster: Cluster) -> None:
    workdir = cluster.home.folder.parent / "kept"
    (workdir / "data").mkdir(parents=True)
    (cluster.home.folder / "sites.yaml").write_text(CLUSTER.replace("made/for/agh", str(workdir)))
    assert bad(cluster.tried()) == []
    assert [path.name for path in workdir.iterdir()] == ["data"]


def test_findings_are_ready_for_json(cluster: Cluster) -> None:
    row = json.loads(render_json(cluster.tried()["job"]))
    assert (row["check"], row["good"]) == ("job", None)
    assert {"detail", "advice"} <= row.keys()
