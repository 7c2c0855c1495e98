"""What figures of a benchmark tell."""

from __future__ import annotations

import pytest

from metadata.errors import InvalidInputError
from staging.benchmark import Best, Case, Timing, cases, crossings, curves, matrix, size_series
from staging.ports import Capabilities, Direction, Endpoint
from staging.routes import Routes, Way

SCP = Way(mover="scp", direction=Direction.PUSH)
FDT = Way(mover="fdt", direction=Direction.PUSH, streams=4)
MIB = 1 << 20


def timing(way: Way, size: int, rate: float, *, files: int = 1, to: str = "agh") -> Timing:
    """One round that had this rate."""
    case = Case(source="here", destination=to, way=way, files=files, file_bytes=size)
    return Timing(case=case, seconds=(case.size_bytes / rate,))


SCP_CURVE = [timing(SCP, size * MIB, 10e6) for size in (1, 8, 64)]
FDT_CURVE = [timing(FDT, size * MIB, rate) for size, rate in ((1, 1e6), (8, 8e6), (64, 40e6))]


def test_sizes_go_down_to_about_a_mebibyte() -> None:
    assert size_series(64 * MIB) == [MIB, 8 * MIB, 64 * MIB]
    assert size_series(1000) == [1000]


def test_the_matrix_shows_the_best_way_for_the_largest_file() -> None:
    """A small file that was quicker, and many small ones, count for nothing there."""
    rows = [*SCP_CURVE, *FDT_CURVE, timing(SCP, 20_000, 1e9, files=1000), timing(SCP, MIB, 90e6, to="lrz")]
    assert matrix(rows)["here", "agh"] == Best(
        source="here", destination="agh", way=FDT, file_bytes=64 * MIB, rate_bytes_per_s=pytest.approx(40e6)
    )
    assert set(matrix(rows)) == {("here", "agh"), ("here", "lrz")}


def test_a_failed_case_has_no_rate_and_is_no_point_of_a_curve() -> None:
    failed = Timing(case=SCP_CURVE[0].case, error="refused")
    assert failed.rate_bytes_per_s is None
    assert failed.files_per_s is None
    assert curves([failed]) == {}
    assert matrix([failed]) == {}


def test_the_median_of_the_rounds_counts() -> None:
    case = Case(source="here", destination="agh", way=SCP, files=10, file_bytes=100)
    assert Timing(case=case, seconds=(1.0, 2.0, 100.0)).rate_bytes_per_s == 500
    assert Timing(case=case, seconds=(1.0, 2.0, 100.0)).files_per_s == 5


def test_a_way_that_starts_slowly_overtakes_between_the_sizes_where_it_did() -> None:
    """As FDT, started on demand, overtakes scp: here between 8 and 64 MiB."""
    (crossing,) = crossings([*SCP_CURVE, *FDT_CURVE])
    assert (crossing.small, crossing.large) == (SCP, FDT)
    assert 8 * MIB < crossing.file_bytes < 16 * MIB


def test_nothing_crosses_where_one_way_is_always_quicker() -> None:
    slower = [timing(FDT, size * MIB, 1e6) for size in (1, 8, 64)]
    assert crossings([*SCP_CURVE, *slower]) == []


def routes() -> Routes:
    """This machine and two sites behind SSH."""
    ssh = Capabilities(
        schemes=frozenset({"file", "ssh"}), directions=frozenset({Direction.PUSH, Direction.PULL, Direction.RELAY})
    )
    ends = {"here": {"file": {}}, "agh": {"ssh": {}}, "lrz": {"ssh": {}}, "mars": {"radio": {}}}
    endpoints = {name: Endpoint(site=name, doors=doors) for name, doors in ends.items()}
    return Routes(endpoints=endpoints, movers={"scp": ssh, "rsync": ssh})


def test_every_load_goes_every_way_between_every_pair() -> None:
    """A site that nothing reaches is in the matrix, without figures."""
    found = cases(routes(), ["here", "agh", "lrz", "mars"], loads=[(1, MIB), (1000, 20_000)])
    assert len(found) == 6 * 2 * 2
    assert {case.way.direction for case in found if case.source == "agh" and case.destination == "lrz"} == {
        Direction.RELAY
    }
    assert {case.way.mover for case in cases(routes(), ["here", "agh"], loads=[(1, 1)], movers=["rsync"])} == {"rsync"}


@pytest.mark.parametrize(
    ("sites", "movers", "message"),
    [(["agh"], [], "two sites or more"), (["here", "agh"], ["fdtt"], "no mover 'fdtt'; there are: rsync, scp")],
)
def test_what_cannot_be_measured_is_told(sites: list[str], movers: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cases(routes(), sites, loads=[(1, 1)], movers=movers)


def test_streams_that_share_files_are_measured_with_as_many_of_them() -> None:
    """A single file goes by one."""
    can = Capabilities(
        schemes=frozenset({"file"}), directions=frozenset({Direction.LOCAL}),
        parallel_streams=True, streams_share_files=True,
    )  # fmt: skip
    ends = {name: Endpoint(site=name, doors={"file": {}}) for name in ("here", "agh")}
    found = cases(Routes(endpoints=ends, movers={"tar": can}), ["here", "agh"], loads=[(1, MIB), (100, MIB)])
    tried = {(case.files, case.way.streams) for case in found}
    assert tried == {(1, 1), (100, 1), (100, 4), (100, 8)}
