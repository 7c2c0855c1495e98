"""Use cases as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadata.errors import InvalidInputError, NotFoundError
from orchestrator import layers
from orchestrator.layers import code_digest, load_layer, load_usecase, usecase_names

TOY = """\
name: toy
title: A toy
layers:
  cut: {summary: cuts, command: [python, -m, toy], outputs: {o: o.txt}}
"""


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one use case."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/usecase.yaml").write_text(TOY.replace("o: o.txt", "o: {path: o.txt}"))
    (tmp_path / "toy/program.py").write_text("print(1)\n")
    monkeypatch.setattr(layers, "BUNDLED", tmp_path)
    return tmp_path


def test_use_cases_are_found_by_their_descriptions(bundled: Path) -> None:
    """A folder without one is none."""
    (bundled / "empty").mkdir()
    assert usecase_names() == ["toy"]
    assert load_usecase("toy").folder == bundled / "toy"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tyo/cut", "there is no use case 'tyo'; did you mean toy?"),
        ("toy/cat", "the use case toy has no layer 'cat'; did you mean toy/cut?"),
        ("toy", "the use case toy has no layer ''"),
        ("../toy/cut", "there is no use case '..'"),
    ],
)
def test_an_unknown_layer_is_told_with_what_was_meant(name: str, message: str, bundled: Path) -> None:
    """Use case and layer are told apart."""
    with pytest.raises(NotFoundError) as caught:
        load_layer(name)
    assert message in str(caught.value)


def test_a_wrong_description_is_told_with_its_line(bundled: Path) -> None:
    """Its author is a scientist too."""
    (bundled / "toy/usecase.yaml").write_text("name: toy\ntitle: x\nlayers:\n  cut: {sumary: x, command: [x]}\n")
    with pytest.raises(InvalidInputError, match=r"usecase.yaml:4:\d+: .*(sumary|summary)"):
        load_layer("toy/cut")


def test_a_changed_program_has_another_digest(bundled: Path) -> None:
    """Its old results are not taken for new ones; other files do not count."""
    before = code_digest(bundled / "toy")
    (bundled / "toy/notes.txt").write_text("x")
    assert code_digest(bundled / "toy") == before
    (bundled / "toy/program.py").write_text("print(2)\n")
    after = code_digest(bundled / "toy")
    assert after != before
    (bundled / "toy/program.py").rename(bundled / "toy/other.py")
    assert code_digest(bundled / "toy") not in (before, after)


def test_what_use_cases_share_counts_for_each(bundled: Path) -> None:
    """A program is also what it imports."""
    before = code_digest(bundled / "toy")
    (bundled / "shared.py").write_text("print(1)\n")
    after = code_digest(bundled / "toy")
    (bundled / "shared.py").write_text("print(2)\n")
    assert len({before, after, code_digest(bundled / "toy")}) == 3


@pytest.mark.parametrize("name", usecase_names())
def test_every_bundled_use_case_can_be_read(name: str) -> None:
    """Its name is that of its folder."""
    assert load_usecase(name).name == name
