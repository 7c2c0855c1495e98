"""``python -m usecases.transforms.deidentify_slide``: a whole-slide image without its label and its macro picture.

The label of a slide often names the patient, and the macro picture shows the label. Both are pictures of their own
in the same TIFF file. They are unlinked from its list of pictures and their bytes are overwritten, and so is what the
scanner wrote about its work (dates, serial numbers, file names). The tissue is not touched, not even recompressed.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from usecases.console import complete_file, exit_code_of, parser_for
from usecases.transforms.console import TransformError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

# Of an Aperio description, what tells of the picture; dates, users, serial numbers and file names do not.
_KEPT_KEYS = frozenset({
    "AppMag", "MPP", "OriginalWidth", "OriginalHeight", "Originalwidth", "Originalheight", "Left", "Top",
    "LineAreaXOffset", "LineAreaYOffset", "LineCameraSkew", "StripeWidth", "Exposure Time", "Exposure Scale",
    "DisplayColor", "Gamma", "Focus Offset", "ICC Profile",
})  # fmt: skip
_TEXTS = {
    269: "DocumentName", 285: "PageName", 305: "Software", 306: "DateTime", 315: "Artist", 316: "HostComputer",
    700: "XMP", 33432: "Copyright", 33723: "IPTC", 34377: "ImageResources", 40092: "XPComment", 42016: "ImageID",
}  # fmt: skip
_NAMES_A_PICTURE = re.compile(r"\b(label|macro|barcode)\b", re.IGNORECASE)
_BLOCK_BYTES = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """De-identifies, and returns the exit code."""
    parser = parser_for(
        "transforms.deidentify_slide", "Writes a slide again without label, macro picture and the scanner's notes."
    )
    parser.add_argument("--slide", type=Path, required=True, help="an Aperio .svs or another plain TIFF slide")
    parser.add_argument("--rename", default="", help="a new name without suffix, where the old one names a person")
    options = parser.parse_args(arguments)
    return exit_code_of("deidentify_slide", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    name = f"{options.rename}{options.slide.suffix}" if options.rename else options.slide.name
    with complete_file(options.output_dir / "deidentified" / name) as partial:
        removed = deidentify(options.slide, partial)
    print(f"removed {', '.join(removed) or 'no picture'}")


def deidentify(source: Path, target: Path) -> list[str]:
    """The target holds the source's tissue. Returns the names of the pictures that were taken away.

    Raises TransformError for a file that is no TIFF, or of a maker whose private notes are not known here.
    """
    import tifffile

    shutil.copyfile(source, target)
    try:
        with tifffile.TiffFile(target, mode="r+b") as slide:
            _refuse_unknown(slide, source)
            removed = _remove_pictures(slide)
        with tifffile.TiffFile(target, mode="r+b") as slide:
            for page in slide.pages:
                _clean(page)
    except tifffile.TiffFileError as error:
        raise TransformError(f"{source}: it is no TIFF file: {error}. Name another slide") from error
    _check(target, source)
    return removed


def _refuse_unknown(slide: "TiffFile", source: Path) -> None:
    makers = {
        "NDPI": slide.is_ndpi,
        "Leica SCN": slide.is_scn,
        "Ventana BIF": slide.is_bif,
        "Philips": slide.is_philips,
    }
    for maker, found in makers.items():
        if found:
            raise TransformError(f"{source}: {maker} files keep notes in places of their own. Convert it to plain TIFF")


def _remove_pictures(slide: "TiffFile") -> list[str]:
    """Unlinks each label and macro picture from the chain of directories, and overwrites it."""
    removed = []
    file = slide.filehandle
    layout = slide.tiff
    link = layout.offsetsize  # the first link stands in the header: 4 bytes in, or 8 in BigTIFF
    pages = [(page, page.offset, _link_of(slide, page)) for page in slide.pages]
    for page, _, next_link in pages:
        name = _picture_name(page)
        if name is None:
            link = next_link
            continue
        file.seek(next_link)
        following = file.read(layout.offsetsize)
        _overwrite(slide, page)
        file.seek(link)
        file.write(following)
        removed.append(name)
    return removed


def _link_of(slide: "TiffFile", page: Any) -> int:
    """Where the directory says which one comes next (TIFF 6.0, section 2; BigTIFF has wider fields)."""
    layout = slide.tiff
    file = slide.filehandle
    file.seek(page.offset)
    count = int.from_bytes(file.read(layout.tagnosize), "little" if slide.byteorder == "<" else "big")
    return int(page.offset + layout.tagnosize + count * layout.tagsize)


def _picture_name(page: "TiffPage") -> str | None:
    """`label` or `macro`, when the page is such a picture: told by its name, its description or Aperio's kind."""
    texts = [str(page.tags.valueof(code, "")) for code in (270, 285, 269)]
    # Aperio's descriptions name the picture in the second line; tissue levels have their size there.
    for text in texts:
        found = _NAMES_A_PICTURE.search(text.partition("|")[0])
        if found:
            return found[1].lower()
    if page.is_tiled:
        return None
    return {1: "label", 9: "macro"}.get(page.subfiletype) if "Aperio" in texts[0] else None


def _overwrite(slide: "TiffFile", page: "TiffPage") -> None:
    file = slide.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        _zero(file, offset, size)
    for tag in page.tags:
        _zero(file, tag.valueoffset, tag.valuebytecount)


def _zero(file: "BinaryIO | Any", offset: int, size_bytes: int) -> None:
    file.seek(offset)
    while size_bytes > 0:
        block = min(size_bytes, _BLOCK_BYTES)
        file.write(b"\0" * block)
        size_bytes -= block


def _clean(page: Any) -> None:
    """Texts of a page that stays: descriptions lose what is not known to be harmless, others become empty."""
    for tag in list(page.tags):
        if tag.code in _TEXTS:
            _zero(tag.parent.filehandle, tag.valueoffset, tag.valuebytecount)
        elif tag.code == 270 and isinstance(tag.value, str):
            text = "|".join(_kept_parts(tag.value))
            encoded = text.encode("ascii", "replace")[: tag.valuebytecount - 1]
            _zero(tag.parent.filehandle, tag.valueoffset, tag.valuebytecount)
            tag.parent.filehandle.seek(tag.valueoffset)
            tag.parent.filehandle.write(encoded)


def _kept_parts(description: str) -> Iterator[str]:
    """Of `Aperio Image Library v1 100x100 ...|AppMag = 20|Date = 12/29/09`, all but what may name somebody."""
    head, *parts = description.split("|")
    aperio = head.startswith("Aperio")
    yield head if aperio else ""
    yield from (part for part in parts if aperio and part.partition("=")[0].strip() in _KEPT_KEYS)


def _check(target: Path, source: Path) -> None:
    """Reads the result as OpenSlide does, where it is there: no label and no macro picture may be left."""
    try:
        import openslide
    except ImportError:
        return
    if openslide.OpenSlide.detect_format(str(target)) is None:
        return
    with openslide.OpenSlide(str(target)) as slide:
        left = [name for name in slide.associated_images if _NAMES_A_PICTURE.search(name)]
    if left:
        raise TransformError(f"{source}: {', '.join(left)} could not be taken away. Do not let this slide leave")


if __name__ == "__main__":
    sys.exit(main())
