"""``python -m usecases.transforms.deidentify_dicom``: a DICOM object without what names a person.

The Basic Application Level Confidentiality Profile (DICOM PS3.15, Annex E) lists hundreds of attributes to take away,
and grows with every edition. Here it is turned round: only what is known to be harmless is kept, so that an attribute
that nobody has thought of is taken away. Pixels are not looked at; an object that says that names are burned into
them is refused.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import TransformError

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset, FileDataset

METHOD = "Convoy transforms/deidentify-dicom, kept by list"

# Groups in which an attribute of a harmless kind tells of the picture, and not of a person, a time or a place.
_PICTURE_GROUPS = frozenset({0x0018, 0x0020, 0x0022, 0x0028, 0x0048, 0x0062, 0x2050, 0x5200, 0x7FE0})
_NUMBERS = frozenset("US UL SS SL SV UV FL FD DS IS AT OB OW OF OD OL OV CS SQ UI".split())  # noqa: SIM905
_KEPT_BY_NAME = frozenset({
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "ConversionType",
    "PresentationIntentType", "ReferencedSeriesSequence", "ReferencedInstanceSequence", "ReferencedImageSequence",
    "SourceImageSequence", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "VolumetricProperties",
    "PhotometricInterpretation", "LossyImageCompression", "Manufacturer", "ManufacturerModelName", "RescaleType",
    "SliceLocation", "PatientPosition", "FrameOfReferenceUID",
})  # fmt: skip
# Numbers and codes of the groups above that tell a device or a person all the same.
_TAKEN_BY_NAME = frozenset({"DeviceUID", "PlateID", "CassetteID", "GantryID", "DetectorID", "StudyID"})
_EMPTIED = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "PatientSex", "StudyID",
)  # fmt: skip
_STANDARD_UIDS = "1.2.840.10008."


def main(arguments: Sequence[str] | None = None) -> int:
    """De-identifies, and returns the exit code."""
    parser = parser_for("transforms.deidentify_dicom", "Writes a DICOM object again without what names a person.")
    parser.add_argument("--object", type=Path, required=True, help="a DICOM file")
    parser.add_argument("--patient", default="ANONYMOUS", help="the pseudonym that stands for the patient")
    parser.add_argument("--salt", default="", help="a secret word; the same word gives the same new UIDs")
    parser.add_argument("--rename", default="", help="a new name without suffix, where the old one names a person")
    options = parser.parse_args(arguments)
    return exit_code_of("deidentify_dicom", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    name = f"{options.rename}{options.object.suffix}" if options.rename else options.object.name
    with complete_file(options.output_dir / "deidentified" / name) as partial:
        deidentify(options.object, partial, patient=options.patient, salt=options.salt)


def deidentify(source: Path, target: Path, *, patient: str = "ANONYMOUS", salt: str = "") -> None:
    """The target holds the source's picture under a pseudonym. UIDs are replaced alike in every object with one salt.

    Raises TransformError when the source is no DICOM object, or says that its pixels name the patient.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        whole = pydicom.dcmread(source)
    except InvalidDicomError as error:
        raise TransformError(f"{source}: it is no DICOM object: {error}. Name another file") from error
    if str(whole.get("BurnedInAnnotation", "")).upper() == "YES":
        raise TransformError(f"{source}: its pixels name the patient (BurnedInAnnotation is YES). Blacken them first")
    _clean(whole, salt)
    _fill(whole, patient, salt)
    whole.save_as(target, enforce_file_format=True)


def _clean(objects: "Dataset", salt: str) -> None:
    for element in list(objects):
        if not _harmless(element):
            del objects[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _clean(item, salt)
        elif element.VR == "UI":
            element.value = _new_uids(element.value, salt)


def _harmless(element: "DataElement") -> bool:
    if element.tag.is_private or element.keyword in _TAKEN_BY_NAME:
        return False
    return element.keyword in _KEPT_BY_NAME or (element.tag.group in _PICTURE_GROUPS and element.VR in _NUMBERS)


def _new_uids(value: object, salt: str) -> object:
    from pydicom.multival import MultiValue

    return [_new_uid(str(uid), salt) for uid in value] if isinstance(value, MultiValue) else _new_uid(str(value), salt)


def _new_uid(uid: str, salt: str) -> str:
    """A UID of the form that PS3.5, Annex B.2 makes of a UUID. Those of the standard itself mean nobody."""
    if not uid or uid.startswith(_STANDARD_UIDS):
        return uid
    digest = hashlib.sha256(f"{salt}\0{uid}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _fill(whole: "FileDataset", patient: str, salt: str) -> None:
    """What every object must have, without a meaning."""
    from pydicom.uid import UID

    for name in _EMPTIED:
        setattr(whole, name, "")
    whole.PatientName = whole.PatientID = patient
    whole.PatientIdentityRemoved = "YES"
    whole.DeidentificationMethod = METHOD
    whole.preamble = b"\0" * 128
    meta = whole.file_meta
    meta.MediaStorageSOPInstanceUID = UID(_new_uid(str(meta.get("MediaStorageSOPInstanceUID", "")), salt))
    kept = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    for element in list(meta):
        if element.keyword not in kept:
            del meta[element.tag]


if __name__ == "__main__":
    sys.exit(main())
