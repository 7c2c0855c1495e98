"""Running a use case from end to end; a tiny one stands for those that take minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.cli.conftest import Tell

USECASE = """\
name: tiny
title: A use case for tests
layers:
  draw:
    summary: Draws.
    command: [cp]
    inputs: {slide: {type: file}}
    outputs: {picture: {path: picture.png}}
demo: {command: [sh, -c, 'mkdir -p $2; echo $3 > $2/one.tif; echo > $2/one.xml', make], workflow: tiny.yaml}
"""
WORKFLOW = """\
name: tiny
inputs: {slides: {type: "file[]"}, annotations: {type: "file[]", optional: true}}
steps:
  draw:
    scatter: {slide: inputs.slides}
    command: "cp {{inputs.slide}} picture.png"
    outputs: {picture: {path: picture.png, media_type: image/png, report: true}}
    at: lrz
"""


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only use case that there is."""
    folder = tmp_path / "usecases" / "tiny"
    folder.mkdir(parents=True)
    (folder / "usecase.yaml").write_text(USECASE)
    (folder / "tiny.yaml").write_text(WORKFLOW)
    monkeypatch.setattr("orchestrator.layers.BUNDLED", folder.parent)


def test_without_slides_it_makes_demo_data_and_ends_with_the_pictures(tell: Tell, home: Path) -> None:
    said = tell("usecase", "run", "tiny")
    assert said.code == 0, said.err
    assert (home / "demo-data" / "tiny" / "one.tif").is_file()
    for part in ("Steps", "here → lrz", "draw          completed at lrz", "report", "picture"):
        assert part in said.out
    picture = next(Path(line.split()[1]) for line in said.out.splitlines() if line.startswith("picture"))
    assert picture.is_file()


def test_slides_of_ones_own_take_the_place_of_demo_data(tell: Tell, home: Path) -> None:
    for name in ("mine.tif", "yours.tif"):
        (home.parent / name).write_text(name)
    said = tell("usecase", "run", "tiny", "--slide", "mine.tif", "--slide", "yours.tif", "--no-report", "--json")
    assert said.document["counts"] == {"COMPLETED": 2}
    assert not (home / "demo-data").exists()


def test_options_that_are_not_known_go_to_the_program_that_makes_demo_data(tell: Tell) -> None:
    said = tell("demo-data", "--usecase", "tiny", "--output", "made", "--slides=5", "--json")
    assert [Path(path).read_text() for path in said.document["slides"]] == ["--slides=5\n"]
