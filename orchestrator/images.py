"""Images by name and digest. They are files of one dataset, `images`, and travel like any other data. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from metadata.errors import InvalidInputError, NotFoundError
from metadata.records import AttributeValue, FileRecord
from orchestrator.documents import did_you_mean

DATASET = "images"
"""Where the catalogue keeps them: `dataset://images/NAME/DIGEST.sif`."""

MEDIA_TYPE = "application/vnd.sylabs.sif.layer.v1.sif"

_NAME = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
_REFERENCE = re.compile(r"(?P<name>[^@:]+)(?:@sha256:(?P<digest>[0-9a-f]{6,64}))?")
_SHORT = 12
"""Letters of a digest in a file's name."""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """A SIF image."""

    name: str
    sha256: str
    """Of the SIF file: what identifies the image."""
    size_bytes: int
    added_at: float
    """Seconds since the epoch, UTC."""
    source: str = ""
    """What it was made from."""

    @property
    def digest(self) -> str:
        """The hash as OCI writes it."""
        return f"sha256:{self.sha256}"

    @property
    def path(self) -> str:
        """Its file in the dataset."""
        return image_path(self.name, self.sha256)


def check_name(name: str) -> str:
    """The name. Raises InvalidInputError for one that a registry of images would refuse.

    >>> check_name("camnet-cpu")
    'camnet-cpu'
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{name!r} cannot name an image: use a-z and 0-9, with single '-', '_' or '.' between")
    return name


def image_path(name: str, sha256: str) -> str:
    """Where an image stands in the dataset. Images of one name and several digests stand beside each other."""
    return f"{name}/{sha256[:_SHORT]}.sif"


def record_of(file: FileRecord, attributes: Mapping[str, AttributeValue]) -> ImageRecord:
    """The image that a file of the dataset is."""
    added = attributes.get("added_at", 0.0)
    return ImageRecord(
        name=PurePosixPath(file.path).parent.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        added_at=float(added) if isinstance(added, (int, float)) else 0.0,
        source=str(attributes.get("source", "")),
    )


def chosen(reference: str, images: Sequence[ImageRecord]) -> ImageRecord:
    """The image that `NAME` (the one added last) or `NAME@sha256:DIGEST` (a beginning will do) means.

    Raises NotFoundError, with what was meant; InvalidInputError for what is no such reference.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidInputError(f"{reference!r} is no image's name; write NAME or NAME@sha256:DIGEST")
    name, digest = match["name"], match["digest"] or ""
    known = sorted({image.name for image in images})
    found = [image for image in images if image.name == name and image.sha256.startswith(digest)]
    if not found:
        advice = "make it with: convoy image build, or convoy image import"
        raise NotFoundError(f"there is no image {reference!r}{did_you_mean(name, known)}; {advice}")
    if digest and len(found) > 1:
        raise InvalidInputError(f"{reference!r} means {len(found)} images; write more of the digest")
    return max(found, key=lambda image: image.added_at)


def definition_sources(text: str) -> list[str]:
    r"""The files and folders that a definition takes from outside, as its %files sections name them.

    >>> definition_sources("%files\n  usecases /opt/usecases\n\n%post\n  true\n")
    ['usecases']
    """
    return list(_sources(text.splitlines()))


def _sources(lines: Iterable[str]) -> Iterable[str]:
    inside = False
    for line in lines:
        words = line.split()
        if line.startswith("%"):
            # `%files from STAGE` copies between stages of the build, and takes nothing from outside.
            inside = words == ["%files"]
        elif inside and words and not words[0].startswith("#"):
            yield words[0]
