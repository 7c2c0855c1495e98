"""Options that take several names take them by commas and one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Tell


@pytest.mark.parametrize("words", [["--only-at", "agh, lrz"], ["--only-at", "agh", "--only-at", "lrz,agh"]])
def test_several_sites_are_given_by_commas_or_one_by_one(tell: Tell, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "a.tif").write_bytes(b"a")
    assert tell("data", "add", "scans", tmp_path / "a.tif", *words).code == 0
    policy = tell("data", "show", "scans", "--json").document["dataset"]["policy"]
    assert sorted(policy["sites"]) == ["agh", "lrz"]


def test_bytes_are_put_to_all_sites_between_commas(tell: Tell, home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"a")
    assert tell("data", "put", tmp_path / "a.tif", "scans", "--site", "agh,lrz").code == 0
    for site in ("agh", "lrz"):
        assert [path.read_bytes() for path in (home / "sites" / site / "data").glob("??/*")] == [b"a"]


def test_a_rule_names_its_places_the_same_way(tell: Tell) -> None:
    assert tell("data", "rule", "add", "scans", "--at", "agh,gpu", "--json").document["at"] == ["agh", "gpu"]


@pytest.mark.parametrize("word", ["", ",", " , "])
def test_a_restriction_without_a_name_is_no_freedom(tell: Tell, tmp_path: Path, word: str) -> None:
    """Nothing between the commas must not mean: the data may lie anywhere."""
    (tmp_path / "a.tif").write_bytes(b"a")
    said = tell("data", "add", "scans", tmp_path / "a.tif", "--only-at", word)
    assert (said.code, "--only-at" in said.err) == (2, True)
    assert tell("data", "ls", "--json").document == []


@pytest.mark.parametrize(
    "words", [["data", "verify"], ["data", "rm", "scans", "--copies", "--yes"], ["data", "pin", "scans"], ["job", "ls"]]
)
def test_an_option_for_one_site_refuses_two(tell: Tell, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "a.tif").write_bytes(b"a")
    assert tell("data", "add", "scans", tmp_path / "a.tif").code == 0
    said = tell(*words, "--site", "agh,lrz")
    assert (said.code, "there is no site 'agh,lrz'" in said.err) == (3, True)
