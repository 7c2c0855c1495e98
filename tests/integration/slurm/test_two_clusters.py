"""Workflows across two real clusters."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.integration.slurm.conftest import Clusters
from tests.testbed.fixtures import wait_until

ACROSS = """\
name: across
steps:
  greet:
    scatter: {n: {range: 20}}
    command: "echo x >> {counters}/greet-{{with.n}}; echo hello {{with.n}} from $SLURM_CLUSTER_NAME > greeting.txt"
    outputs: {greeting: greeting.txt}
    at: agh
    bundle: false
  gather:
    command: "echo x >> {counters}/gather; cat {{inputs.greetings}} > all.txt; echo gpus=$CUDA_VISIBLE_DEVICES >> all.txt"
    in: {greetings: greet.greeting}
    outputs: {all: all.txt}
    resources: {gpus: 1}
    at: {labels: [gpu]}
outputs: {all: gather.all}
"""

SLOW = """\
name: slow
steps:
  wait:
    scatter: {n: {range: 8}}
    command: "echo x >> {counters}/wait-{{with.n}}; sleep 2; echo {{with.n}} > done.txt"
    outputs: {done: done.txt}
    at: agh
    bundle: BUNDLE
"""
ALONE, TOGETHER = SLOW.replace("BUNDLE", "false"), SLOW.replace("BUNDLE", "60s")
"""An element of a job array for each task; and workers of a bundle, as many as tasks, because nothing is known."""

SHARED = TOGETHER.replace("sleep 2", "sleep 0.5").replace("60s", "3s").replace("range: 8", "range: 40")
"""A worker takes several tasks, and not all of them."""

THROTTLED = """\
name: throttled
steps:
  wait:
    scatter: {n: {range: 6}}
    command: "touch {counters}/on-{{with.n}}; sleep 0.3; ls {counters}/on-* | wc -l >> {counters}/most; rm {counters}/on-{{with.n}}"
    at: agh
    throttle: 2
    bundle: BUNDLE
"""
"""Each task notes how many are under way while it is."""

ONCE_EACH = {f"wait-{n}": 1 for n in range(8)}


def test_a_site_is_tried_for_real_and_nothing_is_left(clusters: Clusters) -> None:
    """Every check is made, in a workdir that was not there before and is not there afterwards."""
    file = clusters.home / "sites.yaml"
    images = f"workdir: {clusters.workdir}/not/yet\n    container: apptainer"
    file.write_text(file.read_text().replace(f"workdir: {clusters.workdir}", images, 1))
    answer = clusters.run("site", "test", "agh", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = {finding["check"]: finding for finding in json.loads(answer.stdout)}
    assert list(found) == [
        "adapters", "login", "clock", "scheduler", "partitions", "storage", "room", "container", "movers", "job"
    ]  # fmt: skip
    assert all(finding["good"] for finding in found.values()), answer.stdout
    assert "batch (default) up, up to 1d 00h" in found["partitions"]["detail"]
    assert found["container"]["detail"].startswith("apptainer version")
    left = clusters.sites["agh"].execute("find", clusters.workdir, "-mindepth", "1").splitlines()
    assert left == [f"{clusters.workdir}/counters"]
    assert {path.name for path in clusters.home.iterdir()} == {"sites.yaml", "convoy.db"}


def test_a_site_without_a_runtime_for_images_says_so(clusters: Clusters) -> None:
    """All else is found to be well."""
    file = clusters.home / "sites.yaml"
    images = "storage: command\n    container: {type: apptainer, options: {executable: /opt/none/apptainer}}"
    file.write_text(file.read_text().replace("storage: command", images, 1))
    answer = clusters.run("site", "test", "agh", "--json")
    assert answer.returncode == 1, answer.stderr
    wrong = [finding for finding in json.loads(answer.stdout) if not finding["good"]]
    assert [finding["check"] for finding in wrong] == ["container"]
    assert "there is no /opt/none/apptainer at agh" in wrong[0]["detail"]


def test_a_scatter_is_one_array_and_its_results_cross_to_the_other_cluster(clusters: Clusters, tmp_path) -> None:
    """Twenty tasks need one sbatch; the second cluster's GPU is given to the step that asks for it."""
    answer = clusters.run("run", clusters.write(ACROSS))
    assert answer.returncode == 0, answer.stderr
    record = clusters.record()
    ids = {task.last.native_id.split("_")[0] for task in record.steps[0].tasks}
    assert len(ids) == 1
    assert clusters.starts("agh") == {f"greet-{n}": 1 for n in range(20)}
    assert clusters.run("data", "get", f"dataset://{record.id}/gather/0/all.txt", "--output", tmp_path).returncode == 0
    lines = (tmp_path / "all.txt").read_text().splitlines()
    assert lines == [*(f"hello {n} from agh" for n in range(20)), "gpus=0"]
    assert {(row.source_site, row.destination_site, row.state) for row in record.transfers} == {
        ("agh", "lrz", "COMPLETED")
    }


@pytest.mark.parametrize("bundle", ["false", "60s"])
def test_a_throttle_is_the_arrays_own(clusters: Clusters, bundle: str) -> None:
    answer = clusters.run("run", clusters.write(THROTTLED.replace("BUNDLE", bundle)))
    assert answer.returncode == 0, answer.stderr
    here = clusters.sites["agh"].root / clusters.workdir.lstrip("/")
    assert any("%2" in path.read_text() for path in (here / "scripts").rglob("*") if path.is_file())
    assert max(map(int, (here / "counters" / "most").read_text().split())) <= 2


def test_short_tasks_share_jobs_and_each_is_told_of_by_itself(clusters: Clusters) -> None:
    """Results, states, times and logs are those of the task; a failed one alone is tried again."""
    text = ACROSS.replace("bundle: false", "retries: 1")
    failing = "[ {{with.n}} != 7 ] || [ $(wc -l < {counters}/greet-7) -ge 2 ] || { echo no luck >&2; exit 3; }; "
    answer = clusters.run("run", clusters.write(text.replace("echo hello", f"{failing}echo hello", 1)))
    assert answer.returncode == 0, answer.stderr
    record = clusters.record()
    tasks = record.steps[0].tasks
    assert clusters.starts("agh") == {f"greet-{n}": 1 + (n == 7) for n in range(20)}
    assert len({task.last.native_id.split(".")[0] for task in tasks if task.position != 7}) == 1
    assert [len(task.attempts) for task in tasks] == [1 + (n == 7) for n in range(20)]
    assert all((task.last.ended_at or 0) >= (task.last.started_at or 1) for task in tasks)
    assert "no luck" in next(event.message for event in record.events if event.kind == "task.retrying")


def test_what_was_learned_makes_for_fewer_jobs(clusters: Clusters) -> None:
    """The second run knows that the tasks are short."""
    for _ in range(2):
        assert clusters.run("run", "--fresh", clusters.write(SHARED)).returncode == 0
    assert clusters.starts("agh") == {f"wait-{n}": 2 for n in range(40)}
    used = {task.last.native_state for task in clusters.record().steps[0].tasks}
    assert len(used) <= 20, used  # 40 x 0.5 s in jobs of 3 s


@pytest.mark.parametrize("text", [ALONE, TOGETHER], ids=["alone", "together"])
def test_a_submission_that_was_accepted_but_not_answered_is_found(
    fragile_clusters: Clusters, lying_sbatch: Callable[[str, int], None], text: str
) -> None:
    """`Socket timed out` although the job was accepted: the token finds it, and nothing is submitted again."""
    clusters = fragile_clusters
    lying_sbatch("agh", 1)
    answer = clusters.run("run", clusters.write(text))
    assert answer.returncode == 0, answer.stderr
    assert clusters.starts("agh") == ONCE_EACH
    kinds = [event.kind for event in clusters.record().events]
    assert "site.silent" in kinds
    assert "task.found" in kinds


@pytest.mark.parametrize("moment", [0.5, 1.5, 3.0])
@pytest.mark.parametrize(
    ("text", "count"), [(ALONE, 8), (TOGETHER, 8), (SHARED, 40)], ids=["alone", "together", "shared"]
)
def test_a_killed_engine_finds_its_jobs_again(fragile_clusters: Clusters, text: str, count: int, moment: float) -> None:
    """Before, during and after the submission."""
    clusters = fragile_clusters
    engine = clusters.start("run", clusters.write(text))
    wait_until((clusters.home / "convoy.db").exists, within_s=60)
    time.sleep(moment)  # the moment is what is tested
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    if not clusters.run("ls", "--json").stdout.strip().startswith("[]"):
        answer = clusters.run("resume")
        assert answer.returncode == 0, answer.stderr
        assert clusters.starts("agh") == {f"wait-{n}": 1 for n in range(count)}


@pytest.mark.parametrize("fault", [("cut", 5), ("kill-sshd", 3), ("restart-slurmctld", 3), ("drop-sessions",)])
@pytest.mark.parametrize("text", [ALONE, TOGETHER], ids=["alone", "together"])
def test_a_fault_while_jobs_run_costs_nothing(fragile_clusters: Clusters, text: str, fault: tuple) -> None:
    """The link, the SSH daemon, the controller or the sessions go away for a while."""
    clusters = fragile_clusters
    engine = clusters.start("run", clusters.write(text))
    site = clusters.sites["agh"]
    wait_until(lambda: clusters.run("ls", "--json").stdout.count("QUEUED") or _begun(clusters), within_s=120)
    site.fault(*fault)
    assert engine.wait(timeout=200) == 0
    assert clusters.record().state == "COMPLETED"
    assert clusters.starts("agh") == ONCE_EACH


def _begun(clusters: Clusters) -> bool:
    return bool(clusters.sites["agh"].execute("/bin/sh", "-c", f"ls {clusters.workdir}/counters").strip())


@pytest.mark.parametrize("text", [ALONE, TOGETHER], ids=["alone", "together"])
def test_cancel_ends_the_jobs_at_the_site(clusters: Clusters, text: str) -> None:
    """And the journal says so."""
    engine = clusters.start("run", clusters.write(text.replace("sleep 2", "sleep 600")))
    wait_until(lambda: _begun(clusters), within_s=120, what="the first job")
    assert clusters.run("cancel", clusters.record().id).returncode in (0, 1)
    engine.wait(timeout=200)
    assert clusters.record().state == "CANCELED"
    wait_until(lambda: "sleep 600" not in clusters.sites["agh"].execute("ps", "-ef"), within_s=120)
