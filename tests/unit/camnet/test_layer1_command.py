"""Layer 1 as its user meets it: files, exit codes, and one line when it fails."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from usecases.camnet.demo_data.pyramid import save_pyramid
from usecases.camnet.layer1.__main__ import main
from usecases.camnet.patch_store import PatchReader, find_groups

RESULTS = ["layer1.json", "patches.h5", "sampling.png", "tissue_mask.png", "tumour_mask.png"]


def arguments(slide: Path, output: Path, *more: str) -> list[str]:
    common = ["--patches", "6", "--patch-size", "64", "--mask-downsample", "8", "--seed", "7"]
    return ["--slide", str(slide), "--output-dir", str(output), *common, *more]


def failure(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """Runs the layer, checks that it fails with one line, and returns the line."""
    assert main(argv) == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("layer1 ")]  # progress
    assert (captured.out, len(lines)) == ("", 1)
    assert lines[0].startswith("layer1: error: ")
    return lines[0]


@pytest.fixture(scope="module")
def extracted(drawn, tmp_path_factory) -> Path:
    """The results for the annotated slide."""
    output = tmp_path_factory.mktemp("layer1")
    slide = drawn / "patient_004_node_4.tif"
    assert main(arguments(slide, output, "--annotation", str(slide.with_suffix(".xml")))) == 0
    return output


def test_an_annotated_slide_gives_both_labels(extracted):
    """All results are there and no temporary file is."""
    assert sorted(path.name for path in extracted.iterdir()) == RESULTS
    statistics = json.loads((extracted / "layer1.json").read_text())
    assert (statistics["patient"], statistics["node"], statistics["centre"]) == (4, 4, 0)
    assert {label: figures["kept"] for label, figures in statistics["labels"].items()} == {"normal": 6, "tumor": 6}
    assert statistics["sampling_seconds_per_patch"] > statistics["loading_seconds_per_patch"] > 0


def test_the_stored_pixels_are_those_of_the_slide(extracted, drawn):
    """At the location that is stored beside them."""
    from usecases.camnet.slides import Slide

    groups = find_groups([extracted / "patches.h5"])
    with PatchReader(groups) as reader, Slide(drawn / "patient_004_node_4.tif") as slide:
        for group in groups:
            row, column = reader.locations(group)[0].tolist()
            np.testing.assert_array_equal(reader.patches(group)[0], slide.read_patch(x=8 * column, y=8 * row, size=64))


def test_tumour_patches_lie_under_the_tumour_mask(extracted):
    """To six tenths at least, and normal patches not at all."""
    with Image.open(extracted / "tumour_mask.png") as picture:
        mask = np.asarray(picture) > 0
    groups = find_groups([extracted / "patches.h5"])
    with PatchReader(groups) as reader:
        for group in groups:
            shares = [mask[r : r + 8, c : c + 8].mean() for r, c in reader.locations(group)]
            assert min(shares) >= 0.6 if group.tumour else max(shares) == 0


def test_equal_seeds_give_equal_patches(extracted, drawn, tmp_path):
    """Pixels and locations."""
    slide = drawn / "patient_004_node_4.tif"
    assert main(arguments(slide, tmp_path, "--annotation", str(slide.with_suffix(".xml")))) == 0
    stores = [find_groups([folder / "patches.h5"]) for folder in (extracted, tmp_path)]
    with PatchReader([*stores[0], *stores[1]]) as reader:
        for first, second in zip(*stores, strict=True):
            np.testing.assert_array_equal(reader.patches(first), reader.patches(second))
            assert reader.locations(first).tolist() == reader.locations(second).tolist()


def test_a_healthy_slide_gives_normal_patches(drawn, tmp_path):
    """Without an annotation the slide is normal tissue, and that is a success."""
    assert main(arguments(drawn / "patient_024_node_1.tif", tmp_path)) == 0
    (group,) = find_groups([tmp_path / "patches.h5"])
    assert (group.label, group.count, group.origin.identity.centre) == ("normal", 6, 1)


def test_sampling_ends_when_the_slide_has_no_more(drawn, tmp_path):
    """A million patches are wanted, and all that there are come, each once."""
    slide = drawn / "patient_024_node_1.tif"
    assert (
        main(["--slide", str(slide), "--patches", "1000000", "--mask-downsample", "64", "--output-dir", str(tmp_path)])
        == 0
    )
    (group,) = find_groups([tmp_path / "patches.h5"])
    with PatchReader([group]) as reader:
        locations = reader.locations(group).tolist()
    assert len({tuple(location) for location in locations}) == len(locations) < 300


def test_a_missing_slide_is_told(capsys, tmp_path):
    """What, where, why, and what to do."""
    line = failure(capsys, arguments(tmp_path / "absent.tif", tmp_path))
    assert "cannot open the slide" in line
    assert "absent.tif: there is no such file. Check the path, or copy the file again." in line


def test_a_truncated_slide_is_told_and_leaves_no_patch_file(capsys, drawn, tmp_path):
    """The directory of each level follows its tiles, so a cut file lacks levels; here the pixels are gone."""
    whole = (drawn / "patient_024_node_1.tif").read_bytes()
    slide = tmp_path / "cut.tif"
    slide.write_bytes(whole[: len(whole) // 2])
    assert "cut short" in failure(capsys, arguments(slide, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_damaged_pixels_are_told_with_their_place(capsys, drawn, tmp_path):
    """The file opens, but a tile cannot be decoded; nothing is left under a final name."""
    content = bytearray((drawn / "patient_024_node_1.tif").read_bytes())
    middle = len(content) // 3
    content[16:middle] = bytes(middle - 16)
    slide = tmp_path / "damaged.tif"
    slide.write_bytes(content)
    line = failure(capsys, arguments(slide, tmp_path / "out"))
    assert "cannot read the slide" in line
    assert "damaged.tif at (" in line
    assert not list((tmp_path / "out").glob("*"))


def test_an_empty_polygon_is_told_with_its_line(capsys, drawn, tmp_path):
    """Through the whole command."""
    xml = tmp_path / "a.xml"
    xml.write_text('<ASAP_Annotations>\n <Annotation Name="A">\n </Annotation>\n</ASAP_Annotations>')
    line = failure(capsys, arguments(drawn / "patient_004_node_4.tif", tmp_path, "--annotation", str(xml)))
    assert "a.xml:2: the polygon 'A' is empty" in line


def test_malformed_xml_is_told_with_line_and_column(capsys, drawn, tmp_path):
    """Through the whole command."""
    xml = tmp_path / "a.xml"
    xml.write_text("<ASAP_Annotations>\n <oops")
    line = failure(capsys, arguments(drawn / "patient_004_node_4.tif", tmp_path, "--annotation", str(xml)))
    assert "a.xml:2:2: the XML is malformed" in line


def test_a_slide_smaller_than_a_patch_is_told(capsys, drawn, tmp_path):
    """With both sizes."""
    line = failure(capsys, arguments(drawn / "patient_004_node_4.tif", tmp_path, "--patch-size", "2000"))
    assert "it has 1024 x 1024 pixels, a patch needs 2000 x 2000" in line


def test_a_slide_of_glass_is_told(capsys, tmp_path):
    """There is no patch, and no file that pretends otherwise."""
    save_pyramid(tmp_path / "glass.tif", np.full((512, 512, 3), 244, dtype=np.uint8), mpp_um=0.5)
    line = failure(capsys, arguments(tmp_path / "glass.tif", tmp_path / "out"))
    assert "no patch was kept" in line
    assert not list((tmp_path / "out").glob("*"))


def test_a_mask_level_that_the_slide_lacks_is_told(capsys, drawn, tmp_path):
    """With the levels that it has."""
    argv = ["--slide", str(drawn / "patient_004_node_4.tif"), "--mask-level", "9", "--output-dir", str(tmp_path)]
    assert "level 9 was asked for, its levels are 0 to 2" in failure(capsys, argv)


@pytest.mark.parametrize(
    "argv",
    [[], ["--slide", "a", "--patches", "0"], ["--slide", "a", "--sampling", "dense"], ["--slide", "a", "--nonsense"]],
)
def test_wrong_usage_exits_with_2(argv, capsys):
    """As argparse does everywhere."""
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: python -m usecases.camnet.layer1" in capsys.readouterr().err


def test_the_real_command_fails_with_one_line(tmp_path):
    """As a scheduler runs it: exit code 1, one line, no traceback."""
    command = [sys.executable, "-m", "usecases.camnet.layer1", *arguments(tmp_path / "absent.tif", tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("layer1: error: cannot open the slide: ")
