"""Outlines drawn by pathologists: ASAP XML, CSV, and the JSON of the NCRF project.

All coordinates are level-0 pixels. The CSV has a header ``name,x,y`` and, if wished, ``group``; rows with one name
make one polygon, in the order of the rows. The JSON has lists ``positive`` (tumour) and ``negative`` (not tumour).
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from usecases.camnet.errors import AnnotationError

Point = tuple[float, float]

MINIMUM_VERTICES = 3
# Camelyon16 calls tumour "_0" and "_1" and marks holes in it "_2"; Camelyon17 uses "metastases" and "normal".
EXCLUSION_GROUPS = frozenset({"_2", "exclusion", "exclude", "excluded", "normal"})
_WITHOUT_AREA = frozenset({"Dot", "PointSet", "Measurement"})


@dataclass(frozen=True, kw_only=True)
class Region:
    """One closed polygon."""

    name: str
    """The annotator's name for it."""
    group: str
    """The group it belongs to; empty when there is none."""
    vertices: tuple[Point, ...]
    """At least three (x, y), in level-0 pixels."""

    @property
    def excluded(self) -> bool:
        """True when the polygon is cut out of the tumour rather than added to it."""
        return self.group.strip().casefold() in EXCLUSION_GROUPS


def load_annotation(path: Path) -> tuple[Region, ...]:
    """Returns the regions of an annotation file; its suffix (.xml, .csv, .json) says the format.

    Raises:
        AnnotationError: the file is absent, malformed, or has a polygon of fewer than three vertices.
    """
    parse = {".xml": _parse_xml, ".csv": _parse_csv, ".json": _parse_json}.get(path.suffix.lower())
    if parse is None:
        raise _refusal(path, "the name ends neither in .xml nor in .csv nor in .json")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(path, error) from error
    return parse(content, path)


def _refusal(path: Path, why: object, place: str = "") -> AnnotationError:
    return AnnotationError(
        "cannot use the annotation",
        where=f"{path}{place}",
        why=why,
        advice="Correct the file, or leave --annotation out when the slide has no tumour",
    )


def _region(name: str, group: str, vertices: Sequence[Point], path: Path, line: int | None) -> Region:
    if len(vertices) < MINIMUM_VERTICES:
        count = "is empty" if not vertices else f"has only {len(vertices)} vertices, a polygon needs three"
        raise _refusal(path, f"the polygon {name!r} {count}", f":{line}" if line else "")
    return Region(name=name, group=group, vertices=tuple(vertices))


class _AsapReader:
    """Collects polygons from an ASAP file; expat is used as it knows the line of every element."""

    def __init__(self, path: Path) -> None:
        self.regions: list[Region] = []
        self._path = path
        self._open: dict[str, str] | None = None
        self._line = 0
        self._vertices: list[Point] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, content: str) -> None:
        try:
            self._parser.Parse(content.encode(), True)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            place = f":{error.lineno}:{error.offset + 1}"
            raise _refusal(self._path, f"the XML is malformed ({reason})", place) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Annotation":
            self._open, self._vertices = attributes, []
            self._line = self._parser.CurrentLineNumber
        elif tag == "Coordinate" and self._open is not None:
            self._vertices.append(self._point(attributes))

    def _point(self, attributes: dict[str, str]) -> Point:
        try:
            return float(attributes["X"]), float(attributes["Y"])
        except (KeyError, ValueError) as error:
            line = f":{self._parser.CurrentLineNumber}"
            raise _refusal(self._path, "a Coordinate lacks a number X or Y", line) from error

    def _end(self, tag: str) -> None:
        if tag != "Annotation" or self._open is None:
            return
        attributes, self._open = self._open, None
        if attributes.get("Type", "Polygon") in _WITHOUT_AREA:
            return
        name, group = attributes.get("Name", ""), attributes.get("PartOfGroup", "")
        self.regions.append(_region(name, group, self._vertices, self._path, self._line))


def _parse_xml(content: str, path: Path) -> tuple[Region, ...]:
    reader = _AsapReader(path)
    reader.read(content)
    return tuple(reader.regions)


def _parse_csv(content: str, path: Path) -> tuple[Region, ...]:
    rows = csv.DictReader(content.splitlines())
    missing = {"name", "x", "y"} - set(rows.fieldnames or ())
    if missing:
        raise _refusal(path, f"the header lacks {', '.join(sorted(missing))}; it should be name,x,y[,group]", ":1")
    polygons: dict[tuple[str, str], list[Point]] = {}
    lines: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["name"], row.get("group") or "")
        lines.setdefault(key, rows.line_num)
        try:
            polygons.setdefault(key, []).append((float(row["x"]), float(row["y"])))
        except (TypeError, ValueError) as error:
            raise _refusal(path, "x and y must be numbers", f":{rows.line_num}") from error
    return tuple(_region(name, group, points, path, lines[name, group]) for (name, group), points in polygons.items())


def _parse_json(content: str, path: Path) -> tuple[Region, ...]:
    try:
        document = json.loads(content)
        found = [(group, shape) for key, group in (("positive", ""), ("negative", "normal")) for shape in document[key]]
        points = [[(float(x), float(y)) for x, y in shape["vertices"]] for _, shape in found]
        names = [str(shape["name"]) for _, shape in found]
    except json.JSONDecodeError as error:
        raise _refusal(path, f"the JSON is malformed ({error.msg})", f":{error.lineno}:{error.colno}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise _refusal(path, f"expected lists positive and negative of name and vertices ({error!r})") from error
    return tuple(
        _region(name, group, vertices, path, None)
        for name, (group, _), vertices in zip(names, found, points, strict=True)
    )
