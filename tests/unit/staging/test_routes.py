"""Which mover takes data, and how long that takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError, StagingError
from staging.locations import DatasetName, is_dataset, parse_dataset
from staging.ports import Capabilities, Endpoint
from staging.routes import Rate, Route, choose_mover, link_rate

FILE = Endpoint(site="agh", scheme="file")
SSH = Endpoint(site="lrz", scheme="ssh")


def can(*schemes: str, **powers: bool) -> Capabilities:
    """What a mover can do."""
    return Capabilities(schemes=frozenset(schemes), **powers)


@pytest.mark.parametrize(
    ("movers", "expected"),
    [
        ({"a": can("file"), "b": can("file", "ssh")}, "b"),
        ({"a": can("file", "ssh"), "b": can("file", "ssh", resumes=True)}, "b"),
        ({"a": can("file", "ssh", resumes=True, verifies=True), "b": can("file", "ssh", third_party=True)}, "b"),
        ({"a": can("file", "ssh"), "b": can("file", "ssh")}, "a"),
    ],
)
def test_the_best_mover_that_reaches_both_ends_is_taken(movers: dict[str, Capabilities], expected: str) -> None:
    """The direct way before all, then one that resumes; the first of equals."""
    assert choose_mover(FILE, SSH, movers) == expected


def test_where_no_mover_reaches_that_is_told_with_what_there_is() -> None:
    """Both ends are named."""
    with pytest.raises(StagingError, match=r"from agh \(file\) to lrz \(ssh\); there are: a, b"):
        choose_mover(FILE, SSH, {"a": can("file"), "b": can("ssh")})


def test_what_was_measured_counts_most() -> None:
    """Then what the operator says, then a guess that says that it is one."""
    measured, declared = {("a", "b"): Rate(bytes_per_s=1.0, basis="measured once")}, {("a", "b"): 2.0, ("b", "a"): 3.0}
    bases = [
        link_rate(pair, measured=measured, declared=declared).basis for pair in (("a", "b"), ("b", "a"), ("a", "c"))
    ]
    assert bases == ["measured once", "declared in the site file", "assumed"]


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(1, 1e10), st.integers(1, 1000))
def test_more_bytes_never_take_less_time(small: int, more: int, rate: float, files: int) -> None:
    """Nor do more files."""
    route = Route(mover="a", rate=Rate(bytes_per_s=rate, basis=""))
    assert route.seconds(small, files) <= route.seconds(small + more, files) <= route.seconds(small + more, files + 1)


NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,10}\Z")


@given(NAMES, st.lists(NAMES.filter(lambda part: part != ".."), max_size=3).map("/".join))
def test_a_dataset_name_reads_back_as_it_was_written(dataset: str, path: str) -> None:
    """With or without a path."""
    name = DatasetName(dataset=dataset, path=path)
    assert parse_dataset(str(name)) == name
    assert is_dataset(str(name))


@pytest.mark.parametrize(
    "text", ["camelyon", "dataset://", "dataset:///x", "dataset://a/../b", "dataset://a//b", "file://a"]
)
def test_what_is_no_dataset_name_is_refused(text: str) -> None:
    """Above all what leaves its dataset."""
    with pytest.raises(InvalidInputError, match=r"write dataset://|leaves its dataset"):
        parse_dataset(text)
