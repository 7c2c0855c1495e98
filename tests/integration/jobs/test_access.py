"""Host keys that a person decides about, and codes that a person types."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, SiteError, SiteUnavailableError
from orchestrator import operations
from orchestrator.operations import UnknownKey, Workspace
from orchestrator.settings import find_settings
from tests.integration.jobs.conftest import Person
from tests.integration.slurm.conftest import Clusters

CODE, WRONG_CODE = "271828", "314159"


@pytest.fixture
def stranger(clusters: Clusters) -> Path:
    """The keys of agh are known to nobody: an empty known_hosts file, which is returned."""
    known = clusters.home / "known_hosts"
    _with_option(clusters, f"known_hosts: {known}")
    return known


def _with_option(clusters: Clusters, option: str) -> None:
    file = clusters.home / "sites.yaml"
    file.write_text(file.read_text().replace("host: agh,", f"host: agh, {option},"))


def _open(clusters: Clusters) -> Workspace:
    return Workspace(find_settings(home=clusters.home, environment={}))


def _published(clusters: Clusters) -> str:
    """The fingerprint as the centre would publish it."""
    key = clusters.sites["agh"].root / "etc/ssh/ssh_host_ed25519_key.pub"
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def test_a_key_is_trusted_when_a_person_says_yes_to_its_fingerprint(clusters: Clusters, stranger: Path) -> None:
    """Shown once, saved, and not asked about again."""
    shown: list[UnknownKey] = []
    with _open(clusters) as workspace:
        with pytest.raises(SiteError, match="convoy site trust agh"):
            operations.run_command(workspace, "agh", ["true"])
        decisions = operations.trust_site(workspace, "agh", lambda key: shown.append(key) or True)
        assert [(row.key.fingerprint, row.trusted) for row in decisions] == [(_published(clusters), True)]
        assert (shown[0].file, shown[0].algorithm) == (stranger, "ssh-ed25519")
        assert operations.trust_site(workspace, "agh", lambda _: False) == []
        assert operations.run_command(workspace, "agh", ["id", "-un"]).stdout == "alice\n"


def test_a_no_leaves_the_site_unknown(clusters: Clusters, stranger: Path) -> None:
    with _open(clusters) as workspace:
        (decision,) = operations.trust_site(workspace, "agh", lambda _: False)
    assert not decision.trusted
    assert not stranger.exists()


def test_a_key_that_has_changed_is_never_a_matter_of_saying_yes(clusters: Clusters, stranger: Path) -> None:
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", clusters.home / "other"], check=True)
    other = (clusters.home / "other.pub").read_text().split()
    stranger.write_text(f"{clusters.sites['agh'].address} {other[0]} {other[1]}\n")
    with _open(clusters) as workspace, pytest.raises(SiteError, match="has changed"):
        operations.trust_site(workspace, "agh", lambda _: True)
    assert len(stranger.read_text().splitlines()) == 1


def test_the_command_trusts_the_published_fingerprint_and_no_other(clusters: Clusters, stranger: Path) -> None:
    nobody = clusters.run("site", "trust", "agh")
    assert nobody.returncode == 2
    assert re.search(r"SHA256:\S+, and nobody is there", nobody.stderr)
    trusted = clusters.run("site", "trust", "agh", "--fingerprint", _published(clusters), "--json")
    assert trusted.returncode == 0, trusted.stderr
    assert json.loads(trusted.stdout)[0]["trusted"] is True
    assert stranger.read_text().startswith(f"{clusters.sites['agh'].address} ssh-ed25519 ")


@pytest.fixture
def own_logins(clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No login is open, and none stays so."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    _with_option(clusters, "port: 2222")
    yield
    with _open(clusters) as workspace:
        operations.logout_site(workspace, "agh")


@pytest.mark.usefixtures("own_logins")
def test_one_login_with_a_code_serves_everything_until_it_is_ended(clusters: Clusters) -> None:
    """In this process and in others."""
    person = Person(answers=[CODE])
    with _open(clusters) as workspace:
        identity = operations.login_site(workspace, "agh", person)
        assert (identity.user, identity.host, identity.directory) == ("alice", "agh", "/home/alice")
        made = operations.submit_job(workspace, "agh", "true")
        assert operations.wait_job(workspace, made.id, wait_s=120).state == "COMPLETED"
        assert all(finding.good for finding in operations.test_site(workspace, "agh"))
    assert len(person.asked) == 1
    outside = clusters.run("job", "exec", "agh", "--", "id", "-un")
    assert (outside.returncode, outside.stdout) == (0, "alice\n"), outside.stderr
    assert clusters.run("site", "logout", "agh").returncode == 0
    outside = clusters.run("job", "exec", "agh", "true")
    assert outside.returncode == 75
    assert "convoy site login agh" in outside.stderr
    assert "nobody is there to answer" in clusters.run("site", "login", "agh").stderr


@pytest.mark.usefixtures("own_logins")
def test_a_wrong_code_is_told(clusters: Clusters) -> None:
    with _open(clusters) as workspace, pytest.raises(SiteUnavailableError, match="did not accept the answer"):
        operations.login_site(workspace, "agh", Person(answers=[WRONG_CODE]))


def test_only_a_site_behind_a_login_can_be_logged_in_to(clusters: Clusters) -> None:
    (clusters.home / "sites.yaml").write_text("sites: {here: {workdir: w}}\n".replace("here", "near"))
    with _open(clusters) as workspace, pytest.raises(InvalidInputError, match="needs no login"):
        operations.login_site(workspace, "near", Person(answers=[]))
