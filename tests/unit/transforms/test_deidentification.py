"""What names a person does not leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.uid import UID

from usecases.transforms import deidentify_dicom, deidentify_slide
from usecases.transforms.console import TransformError


@pytest.fixture(params=["CT_small.dcm", "MR_small.dcm"])
def scan(request: pytest.FixtureRequest, fixtures_folder: Path, tmp_path: Path) -> Path:
    """A real object, with a person's data planted wherever they may hide."""
    planted = pydicom.dcmread(fixtures_folder / "dicom" / request.param)
    planted.PatientName = "Doe^Jane"
    planted.PatientAddress = "Doe street"
    planted.OperatorsName = "Doe^Operator"
    planted.ImageComments = "seen by Doe"
    planted.add_new(0x00091001, "LO", "Doe private")
    planted.add_new(0x00189999, "LT", "Doe, an unknown element")
    item = pydicom.Dataset()
    item.PersonName = "Doe^Nested"
    item.ReferencedSOPInstanceUID = planted.SOPInstanceUID
    planted.ReferencedImageSequence = [item]
    path = tmp_path / "scan.dcm"
    planted.save_as(path)
    return path


def test_nothing_of_the_person_is_left_and_the_picture_is(scan: Path, tmp_path: Path) -> None:
    """Not in the header, not in sequences, not in private or unknown elements."""
    before = pydicom.dcmread(scan)
    named = [str(before.PatientID), str(before.StudyInstanceUID), str(before.SOPInstanceUID), str(before.StudyDate)]
    assert deidentify_dicom.main(["--object", str(scan), "--patient", "P7", "--output-dir", str(tmp_path)]) == 0
    raw = (tmp_path / "deidentified/scan.dcm").read_bytes()
    assert b"Doe" not in raw
    assert not [text for text in named if text.encode() in raw]
    after = pydicom.dcmread(tmp_path / "deidentified/scan.dcm")
    assert (after.PatientName, after.PatientID, after.PatientIdentityRemoved) == ("P7", "P7", "YES")
    assert np.array_equal(after.pixel_array, before.pixel_array)
    assert (after.PixelSpacing, after.Rows, after.Modality) == (before.PixelSpacing, before.Rows, before.Modality)
    assert not [element for element in after.iterall() if element.tag.is_private]


def test_uids_stay_apart_and_together(scan: Path, tmp_path: Path) -> None:
    """References still hold; another salt gives other names; the standard's own names are nobody's."""
    for salt in ("a", "a", "b"):
        deidentify_dicom.deidentify(scan, tmp_path / f"{salt}.dcm", salt=salt)
    one, other = pydicom.dcmread(tmp_path / "a.dcm"), pydicom.dcmread(tmp_path / "b.dcm")
    assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID
    assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SOPInstanceUID != one.StudyInstanceUID
    assert UID(one.SOPInstanceUID).is_valid
    assert one.SOPClassUID == pydicom.dcmread(scan).SOPClassUID


def test_a_file_gets_another_name_where_the_old_one_tells(scan: Path, tmp_path: Path) -> None:
    """The suffix stays: programs go by it."""
    assert deidentify_dicom.main(["--object", str(scan), "--rename", "P7", "--output-dir", str(tmp_path)]) == 0
    assert [path.name for path in (tmp_path / "deidentified").iterdir()] == ["P7.dcm"]


def test_names_in_the_pixels_are_refused(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """No program sees them."""
    burned = pydicom.dcmread(scan)
    burned.BurnedInAnnotation = "YES"
    burned.save_as(scan)
    assert deidentify_dicom.main(["--object", str(scan), "--output-dir", str(tmp_path / "out")]) == 1
    assert "BurnedInAnnotation" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_is_no_dicom_object_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(TransformError, match="no DICOM object"):
        deidentify_dicom.deidentify(tmp_path / "text", tmp_path / "out")


SECRETS = (b"CPAPERIOCS", b"12/29/09", b"b414003d", b"CMU-1", b"label 387x463", b"macro 1280x431")


def test_a_real_slide_loses_its_label_and_keeps_its_tissue(fixtures_folder: Path, tmp_path: Path) -> None:
    """The tissue's own bytes are as they were, and OpenSlide reads it as before."""
    import openslide

    source = fixtures_folder / "wsi/CMU-1-Small-Region.svs"
    assert deidentify_slide.main(["--slide", str(source), "--output-dir", str(tmp_path)]) == 0
    raw, original = (tmp_path / "deidentified/CMU-1-Small-Region.svs").read_bytes(), source.read_bytes()
    assert [word for word in SECRETS if word in original] == list(SECRETS)
    assert not [word for word in SECRETS if word in raw]
    with (
        tifffile.TiffFile(source) as before,
        tifffile.TiffFile(tmp_path / "deidentified/CMU-1-Small-Region.svs") as after,
    ):
        assert len(after.pages) == len(before.pages) - 2
        assert after.pages[0].dataoffsets == before.pages[0].dataoffsets
        for offset, size in zip(before.pages[0].dataoffsets, before.pages[0].databytecounts, strict=True):
            assert raw[offset : offset + size] == original[offset : offset + size]
        for page in before.pages[2:]:
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                assert not any(raw[offset : offset + size])
    with openslide.OpenSlide(str(tmp_path / "deidentified/CMU-1-Small-Region.svs")) as slide:
        assert set(slide.associated_images) == {"thumbnail"}
        assert slide.properties["openslide.mpp-x"] == "0.499"


@pytest.mark.parametrize("big", [False, True], ids=["TIFF", "BigTIFF"])
def test_any_page_that_calls_itself_a_label_goes(tmp_path: Path, big: bool) -> None:
    """First, last, or in between; whatever the byte order's width."""
    tissue = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "slide.tif", bigtiff=big) as slide:
        slide.write(tissue[:16, :16], description="label", metadata=None)
        slide.write(tissue, tile=(32, 32), description="scanned by Doe", software="Doe's", metadata=None)
        slide.write(tissue[:8, :8], description="the macro picture", metadata=None)
        slide.write(tissue[::2, ::2], tile=(16, 16), metadata=None)
    assert deidentify_slide.deidentify(tmp_path / "slide.tif", tmp_path / "out.tif") == ["label", "macro"]
    assert b"Doe" not in (tmp_path / "out.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "out.tif") as after:
        assert [page.shape for page in after.pages] == [(64, 64, 3), (32, 32, 3)]
        assert np.array_equal(after.pages[0].asarray(), tissue)


def test_what_is_no_tiff_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "text").write_text("hello")
    assert deidentify_slide.main(["--slide", str(tmp_path / "text"), "--output-dir", str(tmp_path / "out")]) == 1
    assert "no TIFF file" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
