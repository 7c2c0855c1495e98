"""The site file for practice clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import ConflictError, NotFoundError
from orchestrator.operations import sandbox as verbs
from orchestrator.operations.sandbox import sandbox_down, sandbox_up
from orchestrator.sandbox import clusters as practice
from orchestrator.sandbox.clusters import Cluster
from orchestrator.sandbox.site_file import is_untouched, render
from orchestrator.settings import Settings, find_settings
from orchestrator.sites import load_sites

SSH_CONFIG = Path("/var/tmp/some folder/ssh_config")


def cluster(name: str) -> Cluster:
    """Two nodes of four cores and two GPUs."""
    return Cluster(
        name=name, address="10.0.0.1", state="up", rate="", rtt_ms=0, loss=0, nodes=2, cpus=4, gpus=2
    )  # fmt: skip


def test_what_is_written_is_a_site_file(tmp_path: Path) -> None:
    """With real SLURM behind SSH; the GPU label is at all but the first, or at the only one."""
    path = tmp_path / "sites.yaml"
    path.write_text(render([cluster("agh"), cluster("lrz")], ssh_config=SSH_CONFIG))
    sites = load_sites(path).sites
    assert {name: site.labels for name, site in sites.items()} == {"agh": ["cpu"], "lrz": ["cpu", "gpu"]}
    lrz = sites["lrz"]
    assert (lrz.scheduler and lrz.scheduler.type, lrz.container.type, lrz.storage.type) == (
        "slurm",
        "apptainer",
        "command",
    )
    assert lrz.runner.options == {"host": "lrz", "config_file": str(SSH_CONFIG)}
    assert (lrz.slots.nodes, lrz.slots.cpus, lrz.slots.gpus, lrz.slots.memory) == (2, 8, 4, 8000 * 2**20)
    path.write_text(render([cluster("agh")], ssh_config=SSH_CONFIG))
    assert load_sites(path).sites["agh"].labels == ["cpu", "gpu"]


def test_a_changed_file_is_somebodys_own() -> None:
    """One letter is enough."""
    text = render([cluster("agh")], ssh_config=SSH_CONFIG)
    assert is_untouched(text)
    assert not is_untouched(text.replace("/home/alice", "/home/alicia"))
    assert not is_untouched("sites: {}\n")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home that is not there yet."""
    return find_settings(home=tmp_path / "home", environment={})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been done to this machine; two clusters are up already."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(practice, "bring_up", lambda names, **_: calls.append(("up", *names)))
    monkeypatch.setattr(practice, "take_down", lambda names: calls.append(("down", *names)))
    monkeypatch.setattr(practice, "list_clusters", lambda: [cluster("agh"), cluster("lrz")])
    monkeypatch.setattr(practice, "ssh_config", lambda: SSH_CONFIG)
    return calls


def test_a_persons_own_site_file_is_never_overwritten(settings: Settings, asked: list[tuple[str, ...]]) -> None:
    """It is refused before anything is brought up; with --force it is kept under another name."""
    settings.home.mkdir()
    for number, text in enumerate(("sites: {mine: {workdir: x}}\n", "sites: {also: {workdir: y}}\n"), start=1):
        settings.sites_file.write_text(text)
        with pytest.raises(ConflictError, match="--force"):
            sandbox_up(settings)
        kept = sandbox_up(settings, force=True).kept
        assert kept == settings.home / f"sites.before-{number}.yaml"
        assert kept.read_text() == text
    assert asked == [("up", "agh", "lrz")] * 2


def test_its_own_site_file_is_written_anew_without_a_word(settings: Settings, asked: list[tuple[str, ...]]) -> None:
    """And leaves no copies behind."""
    assert sandbox_up(settings).kept is None
    assert sandbox_up(settings, ["lrz"]).kept is None
    assert list(load_sites(settings.sites_file).sites) == ["lrz"]
    assert [path.name for path in settings.home.iterdir()] == ["sites.yaml"]


def test_a_cluster_that_is_not_there_cannot_be_taken_down(asked: list[tuple[str, ...]]) -> None:
    """Nothing is done to the others that were named."""
    with pytest.raises(NotFoundError, match=r"did you mean lrz\?"):
        sandbox_down(["agh", "lzr"])
    assert asked == []
    assert sandbox_down(["agh"]) == ["agh"]
    assert asked == [("down", "agh")]


def test_the_verbs_use_the_scripts_beside_them() -> None:
    """They are part of the package, and there is one copy of them."""
    folder = practice.SCRIPT.parent
    for script in ("sites.sh", "image.sh", "keys.sh", "network.sh", "slurm.sh", "site-init", "wan.py"):
        assert (folder / script).is_file()
    linked = Path(__file__).resolve().parents[2] / "testbed" / "sites.sh"
    assert linked.resolve() == practice.SCRIPT
    assert verbs.DEFAULT_CLUSTERS == ("agh", "lrz")
