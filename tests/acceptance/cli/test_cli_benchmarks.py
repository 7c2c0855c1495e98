"""Measuring links, as a person does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staging.transfers import Carrier
from tests.acceptance.cli.conftest import Tell


def test_links_are_measured_shown_drawn_and_remembered(tell: Tell, home: Path, tmp_path: Path) -> None:
    """The history that routes are chosen by has them afterwards, and no site keeps a file."""
    pytest.importorskip("matplotlib", reason="NOT TESTED: matplotlib is absent; install the extra 'plots'")
    folder = tmp_path / "figures"
    words = ("bench", "transfer", "--sites", "here,agh,lrz", "--size", "2MiB", "--files", "1,20", "--movers", "posix")
    said = tell(*words, "--output", folder)
    assert said.code == 0, said.err
    assert "from \\ to" in said.out
    assert "Many small files" in said.out
    document = json.loads((folder / "rates.json").read_text())
    assert len(document["matrix"]) == 6
    assert all(best["rate_bytes_per_s"] > 1e5 for best in document["matrix"])
    assert {path.suffix for path in folder.iterdir()} == {".png", ".svg", ".html", ".json"}
    assert "data:image/png" in (folder / "rates.html").read_text()
    assert not list(home.rglob("benchmark-*"))
    assert tell(*words, "--json", "--output", folder).document["sites"] == ["here", "agh", "lrz"]


def test_what_was_measured_before_an_interruption_is_shown_and_kept(
    tell: Tell, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody presses Ctrl-C in the third case. No site keeps a file of the benchmark."""
    carry, calls = Carrier.carry, []

    def interrupted(self: Carrier, *orders: object, **more: object) -> object:
        calls.append(orders)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return carry(self, *orders, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Carrier, "carry", interrupted)
    words = ("bench", "transfer", "--sites", "here,agh,lrz", "--size", "1MiB", "--files", "1", "--movers", "posix")
    said = tell(*words, "--output", tmp_path / "kept")
    assert said.code == 130
    assert "from \\ to" in said.out
    assert "interrupted: 2 cases" in said.err
    document = json.loads((tmp_path / "kept/rates.json").read_text())
    assert (document["interrupted"], len(document["timings"])) == (True, 2)
    assert not list(home.rglob("benchmark-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sites", "here"], "two sites or more"),
        (["--sites", "here,ahg"], "did you mean agh"),
        (["--sites", "here,agh", "--files", "0"], "--files 0: write whole numbers of 1 or more"),
        (["--sites", "here,agh", "--size", "big"], "--size big: 'big' is not a size"),
        (["--sites", "here,agh", "--movers", "scpp"], "no mover 'scpp'"),
    ],
)
def test_what_cannot_be_measured_is_refused(tell: Tell, words: list[str], message: str) -> None:
    said = tell("bench", "transfer", *words)
    assert said.code in (2, 3)  # not a usable word, or nothing of that name
    assert message in said.err
