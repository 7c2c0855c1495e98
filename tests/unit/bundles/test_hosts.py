"""Which job a member of a bundle ran in."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from adapters.runners.local import LocalRunner
from orchestrator.bundles.hosts import find_hosts
from orchestrator.jobs import NativeId

BUNDLE = "0123456789abcdef"


def test_a_member_is_traced_to_the_worker_that_took_it(tmp_path: Path) -> None:
    claims = tmp_path / "bundles" / BUNDLE / "claims"
    claims.mkdir(parents=True)
    for number, worker in enumerate(("7_0", "7_1", "7_0")):
        (claims / str(number)).symlink_to(worker)
    ids = [NativeId(f"{BUNDLE}.{number}") for number in (0, 1, 3)]
    found = find_hosts(LocalRunner(), PurePosixPath(tmp_path), [*ids, NativeId("12"), NativeId(f"{BUNDLE[::-1]}.0")])
    assert found == {ids[0]: "7_0", ids[1]: "7_1"}


def test_lone_jobs_ask_nothing(tmp_path: Path) -> None:
    assert find_hosts(LocalRunner(), PurePosixPath(tmp_path / "nowhere"), [NativeId("12")]) == {}
