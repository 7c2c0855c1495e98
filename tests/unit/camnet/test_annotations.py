"""Annotation files become regions, or one clear refusal that names the line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usecases.camnet.annotations import Region, _parse_xml, load_annotation
from usecases.camnet.demo_data.__main__ import render_asap
from usecases.camnet.errors import AnnotationError

NAMES = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12)
COORDINATES = st.floats(min_value=0, max_value=200_000).map(lambda number: round(number, 1))
REGIONS = st.builds(
    Region,
    name=NAMES,
    group=NAMES,
    vertices=st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=9).map(tuple),
)


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_real_camelyon17_file_has_three_tumour_polygons(camelyon):
    """The published annotation of patient 4, node 4 has 8, 15 and 12 vertices, in level-0 pixels."""
    regions = load_annotation(camelyon / "patient_004_node_4.xml")
    assert [len(region.vertices) for region in regions] == [8, 15, 12]
    assert regions[0].vertices[0] == (12711.3, 88778.1)
    assert not any(region.excluded for region in regions)


@given(st.lists(REGIONS, max_size=4))
def test_what_is_written_as_asap_is_read_back(regions):
    """Names with quotes and angle brackets included."""
    assert list(_parse_xml(render_asap(regions), Path("a.xml"))) == regions


@pytest.mark.parametrize("group", ["_2", "Exclusion", "exclude", "normal", " NORMAL "])
def test_exclusion_groups_are_recognised(group):
    """Camelyon16 says _2, Camelyon17 says normal, others say exclusion."""
    assert Region(name="", group=group, vertices=((0, 0), (1, 0), (0, 1))).excluded


@pytest.mark.parametrize("group", ["_0", "_1", "metastases", "Tumor", "None", ""])
def test_tumour_groups_are_not_exclusions(group):
    """All else that annotators write means tumour."""
    assert not Region(name="", group=group, vertices=((0, 0), (1, 0), (0, 1))).excluded


def test_an_empty_polygon_is_refused_with_its_line(tmp_path):
    """The line of the Annotation element is told."""
    text = '<ASAP_Annotations>\n<Annotations>\n<Annotation Name="A" Type="Polygon">\n<Coordinates/>\n'
    path = written(tmp_path, "a.xml", text + "</Annotation></Annotations></ASAP_Annotations>")
    with pytest.raises(AnnotationError, match=r"a\.xml:3: the polygon 'A' is empty"):
        load_annotation(path)


def test_malformed_xml_is_refused_with_line_and_column(tmp_path):
    """The parser's own words are kept."""
    path = written(tmp_path, "a.xml", "<ASAP_Annotations>\n  <Annotation>\n</ASAP_Annotations>")
    with pytest.raises(AnnotationError, match=r"a\.xml:3:3: the XML is malformed \(mismatched tag\)"):
        load_annotation(path)


def test_a_coordinate_without_a_number_is_refused_with_its_line(tmp_path):
    """Half a polygon would be a wrong polygon."""
    path = written(tmp_path, "a.xml", '<A><Annotation>\n<Coordinate X="1" Y="north"/></Annotation></A>')
    with pytest.raises(AnnotationError, match=r"a\.xml:2: a Coordinate lacks a number"):
        load_annotation(path)


def test_points_without_area_are_left_out(tmp_path):
    """ASAP also stores dots and measurements."""
    path = written(tmp_path, "a.xml", '<A><Annotation Type="Dot"><Coordinate X="1" Y="2"/></Annotation></A>')
    assert load_annotation(path) == ()


def test_csv_rows_of_one_name_make_one_polygon(tmp_path):
    """The group column is optional in the header."""
    rows = "name,x,y,group\na,0,0,\na,9,0,\na,9,9,\nb,1,1,Exclusion\nb,2,1,Exclusion\nb,2,2,Exclusion\n"
    first, second = load_annotation(written(tmp_path, "a.csv", rows))
    assert first.vertices == ((0, 0), (9, 0), (9, 9))
    assert (first.excluded, second.excluded) == (False, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x,y\n", r":1: the header lacks name"),
        ("name,x,y\na,1,2\na,one,2\n", r":3: x and y must be numbers"),
        ("name,x,y\na,1,2\n", r":2: the polygon 'a' has only 1 vertices"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(tmp_path, text, message):
    """Header, numbers and polygons are checked."""
    with pytest.raises(AnnotationError, match=message):
        load_annotation(written(tmp_path, "a.csv", text))


@pytest.mark.parametrize(("name", "positive"), [("Tumor_101.json", True), ("Normal_148.json", False)])
def test_ncrf_json_says_what_is_tumour(camelyon, name, positive):
    """Its negative polygons are exclusions."""
    regions = load_annotation(camelyon.parent / "ncrf" / name)
    assert regions
    assert any(not region.excluded for region in regions) == positive


def test_malformed_json_is_refused_with_line_and_column(tmp_path):
    """As with XML."""
    with pytest.raises(AnnotationError, match=r"a\.json:2:1: the JSON is malformed"):
        load_annotation(written(tmp_path, "a.json", '{"positive": [],\n'))


@pytest.mark.parametrize(("name", "message"), [("a.doc", "ends neither"), ("a.xml", "No such file")])
def test_other_files_are_refused(tmp_path, name, message):
    """An unknown suffix, and a file that is not there."""
    with pytest.raises(AnnotationError, match=message):
        load_annotation(tmp_path / name)
