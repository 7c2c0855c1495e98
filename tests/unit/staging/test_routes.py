"""Which mover takes data, and how long that takes."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError, StagingError
from metadata.records import Measurement
from staging.links import Cost, LinkHistory
from staging.locations import DatasetName, is_dataset, parse_dataset
from staging.ports import Capabilities, Credential, Direction, Endpoint
from staging.routes import MOST_PROBES, PROBE_BYTES, PROBES, Route, Routes, Way, ways
from staging.rules import LinkRules

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


def test_streams_that_share_files_are_no_more_than_these() -> None:
    """Else one file would tell that eight streams are no better than one."""
    routes = Routes(
        endpoints={"agh": FILE, "lrz": SSH},
        movers={"a": can("file", "ssh", parallel_streams=True, streams_share_files=True)},
    )

    def streams(files: int) -> list[int]:
        return [route.way.streams for route in routes.ranked("agh", "lrz", size_bytes=MIB, files=files)]

    assert [streams(files) for files in (0, 1, 5, 8)] == [[1], [1], [1, 4], [1, 4, 8]]


def test_an_unknown_link_gets_several_streams_where_they_are_worth_their_logins() -> None:
    """A single one may be the one that loses packets; and what was measured is believed before all that."""
    movers = {"tar": can("file", "ssh", parallel_streams=True, streams_share_files=True, batches=True)}
    history = LinkHistory()
    routes = Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers, history=history)

    def streams(size_bytes: int, files: int = 1000) -> int:
        return routes.ranked("agh", "lrz", size_bytes=size_bytes, files=files)[0].way.streams

    assert [streams(MIB), streams(8 * MIB, files=8), streams(100 * MIB), streams(1 << 40)] == [1, 1, 4, 4]
    assert streams(1 << 40, files=3) == 1
    for at in range(3):
        history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover="tar", direction="push", streams=1, files=1000,
                size_bytes=1 << 30, seconds=80.0, measured_at=at,
            )
        )  # fmt: skip
    assert streams(1 << 30) == 1


@pytest.mark.parametrize(("four_s", "expected"), [(0.97, 1), (0.9, 4)])
def test_more_streams_have_to_be_worth_what_they_cost(four_s: float, expected: int) -> None:
    """Else the fewer are taken: logins and processors are others' too."""
    movers = {"tar": can("file", "ssh", parallel_streams=True, streams_share_files=True, batches=True)}
    routes = Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers)
    for streams, seconds in ((1, 1.0), (4, four_s), (8, 1.0)) * 3:
        routes.history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover="tar", direction="push", streams=streams, files=500,
                size_bytes=10_000_000, seconds=seconds, measured_at=0.0,
            )
        )  # fmt: skip
    assert routes.ranked("agh", "lrz", size_bytes=10_000_000, files=500)[0].way.streams == expected


def test_what_smaller_transfers_showed_is_believed_of_larger_ones() -> None:
    """Several streams were no better with few files, and nobody has tried them with many."""
    movers = {"tar": can("file", "ssh", parallel_streams=True, streams_share_files=True, batches=True)}
    routes = Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers)
    for streams, seconds in ((1, 0.54), (4, 0.60), (8, 0.71)) * 3:
        routes.history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover="tar", direction="push", streams=streams, files=500,
                size_bytes=10_000_000, seconds=seconds, measured_at=0.0,
            )
        )  # fmt: skip
    assert routes.ranked("agh", "lrz", size_bytes=100_000_000, files=5000)[0].way.streams == 1


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


MIB = 1 << 20
TRUE_COSTS = {
    "a": Cost(start_s=0.2, per_file_s=0.05, bytes_per_s=40e6),
    "b": Cost(start_s=2.0, per_file_s=0.001, bytes_per_s=50e6),
    "c": Cost(start_s=0.1, per_file_s=0.5, bytes_per_s=2e6),
}
SHAPES = [(64 * MIB, 1), (20_000_000, 1000), (MIB, 1), (32 * MIB, 8)]


def routes_of(history: LinkHistory, **facts: Any) -> Routes:
    """Three movers between here and a site."""
    movers = {name: can("file", "ssh", resumes=name == "a") for name in TRUE_COSTS}
    return Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers, history=history, **facts)


def taken(route: Route, size_bytes: int, files: int, *, at: float, factor: float = 1.0) -> Measurement:
    """What a transfer by a way really takes."""
    return Measurement(
        source_site="agh", destination_site="lrz", mover=route.way.mover, direction=str(route.way.direction),
        size_bytes=size_bytes, files=files, measured_at=at,
        seconds=factor * TRUE_COSTS[route.way.mover].seconds(size_bytes, files),
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_after_three_tries_of_each_the_choice_is_as_good_as_the_best(shape: tuple[int, int]) -> None:
    """Within a tenth of the best mover, with a tenth of noise; and few transfers were spent on learning it."""
    noise = random.Random(3)
    history = LinkHistory()
    routes = routes_of(history)
    trials = 0
    for at in range(30):
        best = routes.ranked("agh", "lrz", size_bytes=shape[0], files=shape[1], explore=True)[0]
        trials += best.trial
        history.note(taken(best, *shape, at=at, factor=noise.uniform(0.95, 1.05)))
    assert trials <= PROBES * len(TRUE_COSTS)
    chosen = routes.ranked("agh", "lrz", size_bytes=shape[0], files=shape[1])[0]
    quickest = min(cost.seconds(*shape) for cost in TRUE_COSTS.values())
    assert TRUE_COSTS[chosen.way.mover].seconds(*shape) <= 1.1 * quickest
    assert chosen.seconds == pytest.approx(TRUE_COSTS[chosen.way.mover].seconds(*shape), rel=0.15)


def test_large_files_teach_nothing_of_many_small_ones() -> None:
    """Each kind is tried by itself."""
    history = LinkHistory()
    routes = routes_of(history)
    for at in range(20):
        best = routes.ranked("agh", "lrz", size_bytes=64 * MIB, explore=True)[0]
        history.note(taken(best, 64 * MIB, 1, at=at))
    assert not routes.ranked("agh", "lrz", size_bytes=64 * MIB, explore=True)[0].trial
    assert routes.ranked("agh", "lrz", size_bytes=64 * MIB, files=1000, explore=True)[0].trial


def test_parallel_streams_are_tried_where_single_ones_are_slow_and_one_was_lucky() -> None:
    """What the middle of the others reached would forbid it: each took a minute, but one."""
    movers = {
        "plain": can("file", "ssh"),
        "other": can("file", "ssh"),
        "many": can("file", "ssh", parallel_streams=True),
    }
    history = LinkHistory()
    for mover, seconds in (("plain", 60.0), ("other", 60.0), ("many", 8.0)):
        history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover=mover, direction="push", size_bytes=32 * MIB,
                seconds=seconds, measured_at=0.0,
            )
        )  # fmt: skip
    routes = Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers, history=history)
    tried = set()
    for at in range(9):
        best = routes.ranked("agh", "lrz", size_bytes=32 * MIB, explore=True)[0]
        tried.add(best.way.streams)
        seconds = 8.0 / best.way.streams
        history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover=best.way.mover, direction="push",
                streams=best.way.streams, size_bytes=32 * MIB, seconds=seconds, measured_at=1.0 + at,
            )
        )  # fmt: skip
    assert {4, 8} <= tried


def test_a_hopeless_way_is_tried_once() -> None:
    """Twice the time of the best is enough to know."""
    history = LinkHistory()
    routes = routes_of(history)
    for at in range(12):
        best = routes.ranked("agh", "lrz", size_bytes=64 * MIB, explore=True)[0]
        history.note(taken(best, 64 * MIB, 1, at=at))
    tried = [row.mover for row in history.all()]
    assert tried.count("c") == 1
    assert tried.count("a") >= 3


def tried_with(seconds: dict[str, list[float]], *, transfers: int = 30, apart_s: float = 1.0) -> Routes:
    """Routes that were tried as long as there was a wish to: what each mover takes, one time after the other."""
    routes = routes_of(LinkHistory())
    times = {mover: iter(row) for mover, row in seconds.items()}
    for at in range(transfers):
        best = routes.ranked("agh", "lrz", size_bytes=16 * MIB, explore=True)[0]
        took_s = next(times[best.way.mover], seconds[best.way.mover][-1])
        row = taken(best, 16 * MIB, 1, at=at * apart_s)
        routes.history.note(dataclasses.replace(row, seconds=took_s))
    return routes


@pytest.mark.parametrize(
    "unlucky",
    [[2.9, 0.3, 0.3], [0.3, 2.9, 0.3], [0.3, 0.3, 2.9, 0.3], [2.9, 2.0, 0.3, 0.3], [2.5, 0.3, 2.5, 0.3]],
)
def test_unlucky_trials_do_not_rule_a_way_out(unlucky: list[float]) -> None:
    """Neither the first one, when a machine was busy, nor any other: where they contradict each other there are more."""
    routes = tried_with({"a": unlucky, "b": [0.9] * 3, "c": [1.1] * 3})
    assert routes.ranked("agh", "lrz", size_bytes=16 * MIB)[0].way.mover == "a"
    used = [row.mover for row in routes.history.all()]
    assert used.count("b") <= MOST_PROBES
    assert used.count("c") <= MOST_PROBES


def test_a_way_that_was_not_used_for_a_week_is_tried_again() -> None:
    """What was too slow once may be better since."""
    slow_once = {"a": [1.0], "b": [9.0, 0.2], "c": [30.0]}
    steady = tried_with(slow_once, transfers=20)
    assert [row.mover for row in steady.history.all()].count("b") == 1
    daily = tried_with(slow_once, transfers=20, apart_s=86400.0)
    assert daily.ranked("agh", "lrz", size_bytes=16 * MIB)[0].way.mover == "b"
    assert [row.mover for row in daily.history.all()].count("c") <= 3


def test_nothing_is_tried_with_large_transfers_nor_against_the_operators_word() -> None:
    """Learning is for what costs little."""
    routes = routes_of(LinkHistory())
    assert not routes.ranked("agh", "lrz", size_bytes=PROBE_BYTES + 1, explore=True)[0].trial
    assert routes.ranked("agh", "lrz", size_bytes=PROBE_BYTES, explore=True)[0].trial
    fixed = routes_of(LinkHistory(), rules={("agh", "lrz"): LinkRules(mover="c")})
    best = fixed.ranked("agh", "lrz", size_bytes=1, explore=True)[0]
    assert (best.way.mover, best.trial) == ("c", False)


def test_a_trial_says_that_it_is_one_and_all_other_ways_stay_to_fall_back_on() -> None:
    """In the order of what they are worth."""
    ranked = routes_of(LinkHistory()).ranked("agh", "lrz", size_bytes=MIB, explore=True)
    assert ranked[0].basis == "tried to learn of it (1 of 3)"
    assert sorted(route.way.mover for route in ranked) == ["a", "b", "c"]


def test_a_way_that_is_known_to_be_slow_goes_behind_one_that_nobody_tried() -> None:
    """If the operator says that the link is better than that."""
    history = LinkHistory()
    for at in range(3):
        routes = routes_of(history, declared={("agh", "lrz"): 100e6})
        slow = next(r for r in routes.ranked("agh", "lrz", size_bytes=10**9) if r.way.mover == "c")
        history.note(taken(slow, 10**9, 1, at=at))
    ranked = routes_of(history, declared={("agh", "lrz"): 100e6}).ranked("agh", "lrz", size_bytes=10**9)
    assert [route.way.mover for route in ranked] == ["a", "b", "c"]
    assert [route.basis for route in ranked][1:] == ["declared in the site file", "measured 3 times"]
    unknown = routes_of(history).ranked("agh", "lrz", size_bytes=10**9)
    assert unknown[0].way.mover == "c"


def test_a_way_that_fails_again_and_again_goes_last_and_is_not_tried() -> None:
    """Until it is of use once more."""
    history = LinkHistory()
    routes = routes_of(history)
    first = routes.ranked("agh", "lrz", size_bytes=MIB, explore=True)[0]
    history.note_failure(("agh", "lrz"), first.way.key)
    assert routes.ranked("agh", "lrz", size_bytes=MIB, explore=True)[0].way == first.way
    history.note_failure(("agh", "lrz"), first.way.key)
    assert routes.ranked("agh", "lrz", size_bytes=MIB, explore=True)[-1].way == first.way
    assert routes.ranked("agh", "lrz", size_bytes=10**9)[-1].way == first.way
    history.note(taken(first, MIB, 1, at=0))
    assert not any(route.broken for route in routes.ranked("agh", "lrz", size_bytes=MIB))


def test_the_choice_is_explained() -> None:
    """By what was measured of it, and what the next best would take."""
    history = LinkHistory()
    routes = routes_of(history)
    for route in routes.ranked("agh", "lrz", size_bytes=10**9):
        history.note(taken(route, 10**9, 1, at=0))
    assert Routes.explained(routes.ranked("agh", "lrz", size_bytes=10**9)).startswith(
        "measured once; by a it would take 25"
    )
    assert Routes.explained(routes_of(LinkHistory()).ranked("agh", "lrz", size_bytes=1)) == "assumed"


def test_more_streams_are_not_tried_where_one_is_so_slow_that_they_cannot_be_good() -> None:
    """Eight are at most eight times as fast as one."""
    movers = {"plain": can("file", "ssh"), "grid": can("file", "ssh", parallel_streams=True)}
    routes = Routes(endpoints={"agh": FILE, "lrz": SSH}, movers=movers, declared={("agh", "lrz"): 1e9})
    for at in range(20):
        best = routes.ranked("agh", "lrz", size_bytes=MIB, explore=True)[0]
        seconds = 1.0 if best.way.mover == "plain" else 20.0
        routes.history.note(
            Measurement(
                source_site="agh", destination_site="lrz", mover=best.way.mover, direction="push",
                streams=best.way.streams, size_bytes=MIB, seconds=seconds, measured_at=1.0 + at,
            )
        )  # fmt: skip
    assert sorted({row.streams for row in routes.history.all() if row.mover == "grid"}) == [1, 8]
    four = next(route for route in routes.ranked("agh", "lrz", size_bytes=MIB) if route.way.streams == 4)
    assert (four.measured, four.seconds) == (0, pytest.approx(5.0, rel=0.1))
    assert four.prediction.low_s < four.seconds < four.prediction.high_s
