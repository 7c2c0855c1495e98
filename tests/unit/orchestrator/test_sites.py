"""Site files."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import InvalidSiteError, NotFoundError
from orchestrator.sites import load_sites
from staging.ports import Credential
from staging.rules import LinkRules


def sites_of(tmp_path: Path, text: str):
    """The site file with this text."""
    path = tmp_path / "sites.yaml"
    path.write_text(text)
    return load_sites(path)


def test_a_site_needs_no_more_than_a_folder(tmp_path: Path) -> None:
    """It is embedded then: local, posix, host."""
    site = sites_of(tmp_path, "sites: {agh: {workdir: w}}").sites["agh"]
    assert (site.executor.type, site.storage.type, site.container.type) == ("local", "posix", "host")
    assert site.speed == 1.0


@pytest.mark.parametrize(
    ("written", "expected"), [("w", "{tmp}/w"), ("/abs", "/abs"), ("../w", "{parent}/w"), ("~/w", "{home}/w")]
)
def test_a_relative_folder_starts_at_the_site_file(
    written: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at whatever folder a person happens to stand in."""
    monkeypatch.chdir("/")
    site = sites_of(tmp_path, f"sites: {{agh: {{workdir: {written}}}}}").sites["agh"]
    assert site.workdir == expected.format(tmp=tmp_path.resolve(), parent=tmp_path.resolve().parent, home=Path.home())


def test_a_remote_folder_is_the_remote_sides_affair(tmp_path: Path) -> None:
    """This machine's `~` is another one."""
    site = sites_of(tmp_path, "sites: {agh: {workdir: ~/w, storage: ssh}}").sites["agh"]
    assert site.workdir == "~/w"


def test_secrets_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file can be shown to others then."""
    monkeypatch.setenv("TOY_ACCOUNT", "k21")
    text = "sites: {agh: {workdir: w, environment: {A: 'x${TOY_ACCOUNT}y'}, executor: {type: local, options: {list: ['${TOY_ACCOUNT}']}}}}"
    site = sites_of(tmp_path, text).sites["agh"]
    assert site.environment == {"A": "xk21y"}
    assert site.executor.options == {"list": ["k21"]}


def test_a_variable_that_is_not_set_is_told_on_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty word in its place would be a puzzle later."""
    monkeypatch.delenv("TOY_ABSENT", raising=False)
    with pytest.raises(InvalidSiteError, match=r"sites.yaml:3:\d+: the environment variable TOY_ABSENT is not set"):
        sites_of(tmp_path, "sites:\n  agh:\n    workdir: ${TOY_ABSENT}/w\n")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "sites:\n  agh: {workdir: w}\nlinks:\n  - {from: agh, to: ahg, rate: 1 MB/s}",
            4,
            "there is no site 'ahg'; did you mean agh?",
        ),
        ("sites:\n  agh: {workdir: w}\nlinks:\n  - {from: agh, to: here, rate: fast}", 4, "is not a rate"),
        ("sites:\n  agh: {workdir: w}\nlinks:\n  - {from: agh, to: here, rate: 0 MB/s}", 4, "greater than 0"),
        ("sites:\n  agh: {workdir: w}\nlinks:\n  - {from: agh, to: agh}", 4, "from agh to itself"),
        ("sites:\n  a: {workdir: w}\nlinks:\n  - {from: a, to: here}\n  - {from: a, to: here}", 5, "stands here twice"),
        ("sites:\n  a: {workdir: w}\nlinks:\n  - from: a\n    to: here\n    direct: agent", 6, "leave `direct` out"),
        (
            "sites:\n  a: {workdir: w}\nlinks:\n  - from: a\n    to: here\n    direct: ftp",
            6,
            "'agent', 'key' or 'true'",
        ),
        ("sites:\n  a: {workdir: w}\nlinks:\n  - from: a\n    to: here\n    window: 22-6", 6, '"22:00-06:00"'),
        (
            "sites:\n  a: {workdir: w}\nlinks:\n  - from: a\n    to: here\n    at_once: 0",
            6,
            "greater than or equal to 1",
        ),
        ("sites:\n  a: {workdir: w}\nlinks:\n  - from: a\n    to: here\n    limit: 0 MB/s", 6, "greater than 0"),
        ("sites:\n  a:\n    workdir: w\n    doors: {gridftp: [dtn]}", 4, "a mapping was expected"),
        ("sites:\n  agh: {workdri: w}", 2, "did you mean workdir?"),
        ("sites:\n  agh: {}", 2, "'workdir' is missing"),
        ("sites:\n  agh: {workdir: w, slots: {cpus: 0}}", 2, "greater than or equal to 1"),
        ("sites:\n  agh: {workdir: w, slots: {memory: lots}}", 2, "is not a size"),
        ("sites:\n  agh: {workdir: w, speed: 0}", 2, "greater than 0"),
        ("sites: {}", 1, "at least 1"),
        ("sites:\n  agh: {workdir: w}\n  lrz: {workdir: ./w}", 3, "agh"),
    ],
)
def test_a_fault_is_told_on_its_line(text: str, line: int, message: str, tmp_path: Path) -> None:
    """Two sites with one folder would mix their queues; the rest are slips."""
    with pytest.raises(InvalidSiteError) as caught:
        sites_of(tmp_path, text)
    assert f"sites.yaml:{line}:" in str(caught.value)
    assert message in str(caught.value)


def test_links_have_a_direction(tmp_path: Path) -> None:
    """An uplink is not a downlink."""
    text = "sites: {a: {workdir: a}, b: {workdir: b}}\nlinks: [{from: a, to: b, rate: 400 Mbit/s}]"
    assert sites_of(tmp_path, text).declared_rates() == {("a", "b"): 50e6}


def test_a_link_says_what_transfers_have_to_keep_to(tmp_path: Path) -> None:
    """In staging's words; a link of which nothing is said asks for nothing."""
    text = """
sites: {a: {workdir: a}, b: {workdir: b}}
links:
  - {from: a, to: b, direct: agent, limit: 80 Mbit/s, window: "22:00-06:30", at_once: 2, mover: rsync}
  - {from: b, to: a, direct: true}
  - {from: here, to: a, direct: false}
"""
    rules = sites_of(tmp_path, text).link_rules()
    assert rules["a", "b"] == LinkRules(
        direct=Credential.AGENT, limit_bytes_per_s=1e7, window=(1320, 390), at_once=2, mover="rsync"
    )
    assert rules["a", "b"].share_bytes_per_s == 5e6
    assert rules["b", "a"].direct is Credential.NONE
    assert rules["here", "a"] == LinkRules()
    assert sites_of(tmp_path, text).declared_rates() == {}


def test_a_site_may_have_further_doors(tmp_path: Path) -> None:
    """Their options are texts, as the tools that get them want."""
    text = "sites: {a: {workdir: a, doors: {gridftp: {host: dtn, port: 2811, security: gsi}, file: {}}}}"
    assert sites_of(tmp_path, text).sites["a"].doors == {
        "gridftp": {"host": "dtn", "port": "2811", "security": "gsi"},
        "file": {},
    }


def test_a_site_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(NotFoundError, match=r"absent\.yaml"):
        load_sites(tmp_path / "absent.yaml")
