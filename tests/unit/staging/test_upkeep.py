"""What rules ask of copies."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from metadata.policy import Policy
from metadata.records import RuleRecord
from staging.upkeep import Content, Copy, Place, Sight, UpkeepPlan, assigned, plan_upkeep

DAY_S = 86400.0
NOW = 100 * DAY_S
PLACES = [
    Place(site="agh", labels=frozenset({"cpu"})),
    Place(site="lrz", labels=frozenset({"cpu", "gpu"})),
    Place(site="vault", labels=frozenset({"tape"})),
    Place(site="here"),
]
BY_NAME = {place.site: place for place in PLACES}
SITES = [place.site for place in PLACES]


def seconds(source: str, destination: str, size_bytes: int) -> float:
    """The further down the list, the further away."""
    del source, size_bytes
    return float(SITES.index(destination))


def content(*copies: Copy | str, **fields: object) -> Content:
    """Some content; a copy that is given by its site is Convoy's, seen, and long unused."""
    made = tuple(copy if isinstance(copy, Copy) else Copy(site=copy, path=f"/{copy}") for copy in copies)
    return Content(name="dataset://study/a", sha256="0" * 64, size_bytes=10, copies=made, **fields)  # type: ignore[arg-type]


def rule(**fields: object) -> RuleRecord:
    """A rule."""
    return RuleRecord(**{"id": 1, "target": "study", **fields})  # type: ignore[arg-type]


def planned(*contents: Content) -> UpkeepPlan:
    """The plan for them."""
    return plan_upkeep(contents, PLACES, seconds=seconds, now=NOW)


def test_two_copies_with_one_at_a_tape_site_make_one_there() -> None:
    found = planned(content("agh", rules=(rule(copies=2, at=("tape",)),)))
    assert [(row.source.site, row.site) for row in found.copies] == [("agh", "vault")]
    assert (found.removals, found.shortfalls) == ((), ())


def test_copies_anywhere_go_to_the_nearest_sites() -> None:
    found = planned(content("vault", rules=(rule(copies=3),)))
    assert [row.site for row in found.copies] == ["agh", "lrz"]


def test_a_rule_that_is_met_asks_for_nothing() -> None:
    assert planned(content("agh", "vault", rules=(rule(copies=2, at=("tape",)),))) == UpkeepPlan()


def test_two_rules_share_the_copies_that_they_ask_for() -> None:
    found = planned(content("agh", rules=(rule(at=("gpu",)), rule(id=2, copies=2))))
    assert [row.site for row in found.copies] == ["lrz"]


def test_each_place_of_a_rule_asks_for_a_site_of_its_own() -> None:
    """The site agh is the only one for `agh`, so that the other word has to look further."""
    found = planned(content("agh", rules=(rule(at=("cpu", "agh")),)))
    assert [row.site for row in found.copies] == ["lrz"]


def test_a_site_that_the_policy_forbids_is_given_nothing() -> None:
    kept = content("agh", rules=(rule(copies=2),), policy=Policy(sites=frozenset({"agh"})))
    found = planned(kept)
    assert found.copies == ()
    assert "2 copies" in found.shortfalls[0].reason


def test_a_site_without_a_way_is_given_nothing() -> None:
    found = plan_upkeep([content("agh", rules=(rule(at=("tape",)),))], PLACES, seconds=lambda *_: math.inf, now=NOW)
    assert (found.copies, len(found.shortfalls)) == ((), 1)


def test_what_nobody_can_see_is_told_and_not_copied() -> None:
    found = planned(content(Copy(site="agh", path="/a", sight=Sight.HIDDEN), rules=(rule(copies=2),)))
    assert (found.copies, len(found.shortfalls)) == ((), 1)


def test_an_unused_copy_goes_when_another_stays() -> None:
    found = planned(content("agh", "vault", rules=(rule(keep_s=30 * DAY_S, site="agh"),)))
    assert [(row.copy.site, [copy.site for copy in row.survivors]) for row in found.removals] == [("agh", ["vault"])]


def test_the_last_copy_stays_however_long_it_was_unused() -> None:
    assert planned(content("agh", rules=(rule(keep_s=1),))).removals == ()


def test_of_two_unused_copies_the_longer_unused_goes() -> None:
    young = Copy(site="agh", path="/a", used_at=NOW - 40 * DAY_S)
    found = planned(content(young, "vault", rules=(rule(keep_s=30 * DAY_S),)))
    assert [row.copy.site for row in found.removals] == ["vault"]


def test_a_copy_that_was_used_lately_stays() -> None:
    used = Copy(site="agh", path="/a", used_at=NOW - 29 * DAY_S)
    assert planned(content(used, "vault", rules=(rule(keep_s=30 * DAY_S, site="agh"),))).removals == ()


def test_of_two_rules_that_say_how_long_the_longer_counts() -> None:
    used = Copy(site="agh", path="/a", used_at=NOW - 40 * DAY_S)
    rules = (rule(keep_s=30 * DAY_S, site="cpu"), rule(id=2, keep_s=60 * DAY_S, site="agh"))
    assert planned(content(used, "vault", rules=rules)).removals == ()


def test_pins_runs_and_owners_hold_a_copy() -> None:
    rules = (rule(keep_s=1, site="agh"),)
    assert planned(content("agh", "vault", rules=rules, pinned=frozenset({"agh"}))).removals == ()
    assert planned(content("agh", "vault", rules=rules, pinned=frozenset({""}))).removals == ()
    assert planned(content("agh", "vault", rules=rules, needed=True)).removals == ()
    theirs = Copy(site="agh", path="/a", ours=False)
    assert planned(content(theirs, "vault", rules=rules)).removals == ()
    assert planned(content("agh", "vault", rules=rules, pinned=frozenset({"lrz"}))).removals != ()


def test_a_copy_that_a_rule_asks_for_stays() -> None:
    rules = (rule(keep_s=1), rule(id=2, copies=2, at=("tape",)))
    assert planned(content("agh", "vault", rules=rules)).removals == ()
    assert [row.copy.site for row in planned(content("agh", "lrz", "vault", rules=rules)).removals] == ["agh"]


def test_a_copy_that_cannot_be_seen_saves_no_other() -> None:
    hidden = Copy(site="vault", path="/v", sight=Sight.HIDDEN)
    assert planned(content("agh", hidden, rules=(rule(keep_s=1),))).removals == ()


def test_a_second_path_at_the_same_site_goes_although_a_rule_asks_for_the_site() -> None:
    twice = (Copy(site="agh", path="/run/a"), Copy(site="agh", path="/store/a", used_at=NOW))
    found = planned(content(*twice, rules=(rule(at=("agh",)), rule(id=2, keep_s=DAY_S))))
    assert [row.copy.path for row in found.removals] == ["/run/a"]


words = st.sampled_from(["agh", "lrz", "vault", "here", "cpu", "gpu", "tape", "nowhere"])
rules = st.builds(
    RuleRecord,
    id=st.integers(1, 9),
    target=st.just("study"),
    copies=st.none() | st.integers(1, 5),
    at=st.lists(words, max_size=3).map(tuple),
    keep_s=st.none() | st.floats(0, 60 * DAY_S),
    site=words | st.just(""),
)
copies = st.builds(
    Copy,
    site=st.sampled_from([*SITES, "gone"]),
    path=st.sampled_from(["/a", "/b"]),
    sight=st.sampled_from(Sight),
    ours=st.booleans(),
    used_at=st.floats(0, NOW),
)
contents = st.builds(
    Content,
    name=st.just("dataset://study/a"),
    sha256=st.just("0" * 64),
    size_bytes=st.integers(0, 10**9),
    copies=st.lists(copies, max_size=5, unique_by=lambda copy: (copy.site, copy.path)).map(tuple),
    rules=st.lists(rules, max_size=3).map(tuple),
    pinned=st.frozensets(st.sampled_from([*SITES, ""]), max_size=2),
    needed=st.booleans(),
    policy=st.none().map(lambda _: Policy()) | st.frozensets(st.sampled_from(SITES)).map(lambda s: Policy(sites=s)),
)


def met(one: RuleRecord, sites: set[str]) -> bool:
    """Whether a rule is met by copies at these sites."""
    return len(assigned(one.at, (sites,), BY_NAME)) == len(one.at) and len(sites) >= (one.copies or 0)


@given(contents)
def test_no_plan_takes_away_a_last_copy_or_one_that_is_held(one: Content) -> None:
    """Not even when none of its new copies arrives."""
    found = planned(one)
    gone = [row.copy for row in found.removals]
    seen = [copy for copy in one.copies if copy.sight is Sight.SEEN]
    left = [copy for copy in seen if copy not in gone]
    assert not gone or left
    assert all(copy.ours and copy in seen and not one.needed for copy in gone)
    assert not any(one.pinned & {"", copy.site} for copy in gone)
    # The survivors that a removal names are still there when all removals are done in order.
    done: list[Copy] = []
    for row in found.removals:
        done.append(row.copy)
        assert row.survivors
        assert not set(row.survivors) & set(done)


@given(contents)
def test_no_plan_leaves_a_rule_less_met_than_it_was(one: Content) -> None:
    found = planned(one)
    seen = {copy.site for copy in one.copies if copy.sight is Sight.SEEN} | {row.site for row in found.copies}
    gone = [row.copy for row in found.removals]
    left = {copy.site for copy in one.copies if copy.sight is Sight.SEEN and copy not in gone}
    left |= {row.site for row in found.copies}
    assert all(met(one_rule, left) for one_rule in one.rules if met(one_rule, seen))


@given(contents)
def test_new_copies_go_to_free_sites_that_the_policy_allows_and_all_that_can_be_met_is(one: Content) -> None:
    found = planned(one)
    taken = {copy.site for copy in one.copies}
    sites = [row.site for row in found.copies]
    assert all(one.policy.allows(site) and site not in taken for site in sites)
    assert max(Counter(sites).values(), default=1) == 1
    if not found.shortfalls:
        assert all(met(one_rule, taken | set(sites)) for one_rule in one.rules)
