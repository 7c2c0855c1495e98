"""Which mover takes data, and how long that takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError, StagingError
from staging.locations import DatasetName, is_dataset, parse_dataset
from staging.ports import Capabilities, Credential, Direction, Endpoint
from staging.routes import LinkRules, Rate, Routes, Way, link_rate, ways

FILE = Endpoint(site="agh", doors={"file": {}})
SSH = Endpoint(site="lrz", doors={"ssh": {"host": "lrz"}})
FAR = Endpoint(site="uva", doors={"ssh": {"host": "uva"}, "gridftp": {"host": "uva"}})
BOTH = Endpoint(site="psnc", doors={"ssh": {"host": "psnc"}, "gridftp": {"host": "dtn"}})
ALL = frozenset(Direction)


def can(*schemes: str, directions: frozenset[Direction] = ALL, **powers: Any) -> Capabilities:
    """What a mover can do."""
    return Capabilities(schemes=frozenset(schemes), directions=directions, **powers)


@pytest.mark.parametrize(
    ("movers", "expected"),
    [
        ({"a": can("file"), "b": can("file", "ssh")}, "b"),
        ({"a": can("file", "ssh"), "b": can("file", "ssh", resumes=True)}, "b"),
        ({"a": can("file", "ssh", verifies=True), "b": can("file", "ssh", resumes=True)}, "b"),
        ({"a": can("file", "ssh", directions=frozenset({Direction.PULL})), "b": can("file", "ssh")}, "b"),
        ({"a": can("file", "ssh"), "b": can("file", "ssh")}, "a"),
    ],
)
def test_the_best_mover_that_reaches_both_ends_goes_first(movers: dict[str, Capabilities], expected: str) -> None:
    """One that resumes before all; the first of equals."""
    assert ways(FILE, SSH, movers)[0] == Way(mover=expected, direction=Direction.PUSH)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((FILE, FILE), "local"), ((FILE, SSH), "push"), ((SSH, FILE), "pull"), ((SSH, FAR), "relay")],
)
def test_where_bytes_go_follows_from_who_has_the_files(ends: tuple[Endpoint, Endpoint], expected: str) -> None:
    """Sites of which nobody said that they may talk to each other are relayed."""
    assert [way.direction for way in ways(*ends, {"a": can("file", "ssh")})] == [expected]


@pytest.mark.parametrize("right", list(Credential))
def test_sites_talk_to_each_other_by_the_right_that_the_operator_gives(right: Credential) -> None:
    """And the direct way goes before the relay then."""
    movers = {"a": can("ssh", credentials=frozenset(Credential))}
    found = ways(SSH, FAR, movers, LinkRules(direct=right))
    assert [(way.direction, way.credential) for way in found] == [
        (Direction.THIRD_PARTY, right),
        (Direction.RELAY, Credential.NONE),
    ]


def test_a_right_that_a_mover_cannot_use_is_of_no_use() -> None:
    """Then there is the relay."""
    movers = {"a": can("ssh", credentials=frozenset({Credential.AGENT}))}
    found = ways(SSH, FAR, movers, LinkRules(direct=Credential.SHORT_LIVED_KEY))
    assert [way.direction for way in found] == [Direction.RELAY]


def test_doors_with_an_identity_of_their_own_need_nobodys_word() -> None:
    """GridFTP servers know users by their certificates."""
    movers = {"grid": can("file", "gridftp"), "a": can("ssh")}
    assert [way.direction for way in ways(FAR, BOTH, movers) if way.mover == "grid"] == ["third-party", "relay"]


def test_streams_are_tried_of_movers_that_have_them() -> None:
    """One is the first guess."""
    found = ways(FILE, BOTH, {"grid": can("file", "gridftp", parallel_streams=True)})
    assert [way.streams for way in found] == [1, 4, 8]


def test_the_operators_mover_is_the_only_one() -> None:
    """Whatever others can do; where it does not reach, that is told."""
    movers = {"a": can("file", "ssh", resumes=True), "b": can("file", "ssh"), "c": can("file")}
    assert [way.mover for way in ways(FILE, SSH, movers, LinkRules(mover="b"))] == ["b"]
    with pytest.raises(StagingError, match="there are: c"):
        ways(FILE, SSH, movers, LinkRules(mover="c"))


def test_a_limited_link_is_for_movers_that_keep_to_it() -> None:
    """As far as there is any."""
    movers = {"a": can("file", "ssh", resumes=True), "b": can("file", "ssh", limits_rate=True)}
    assert [way.mover for way in ways(FILE, SSH, movers, LinkRules(limit_bytes_per_s=1e6))] == ["b"]


def test_where_no_mover_reaches_that_is_told_with_what_there_is() -> None:
    """Both ends are named."""
    with pytest.raises(StagingError, match=r"from agh \(file\) to lrz \(ssh\); there are: a, b"):
        ways(FILE, SSH, {"a": can("file"), "b": can("ssh")})


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
    routes = Routes(
        endpoints={"agh": FILE, "lrz": SSH}, movers={"a": can("file", "ssh")}, declared={("agh", "lrz"): rate}
    )

    def seconds(size: int, count: int) -> float:
        return routes.ranked("agh", "lrz", size_bytes=size, files=count)[0].seconds

    assert seconds(small, files) <= seconds(small + more, files) <= seconds(small + more, files + 1)


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
