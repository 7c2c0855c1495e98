import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata.errors import InvalidInputError, PolicyError
from metadata.policy import ANYWHERE, Policy, check_move, combined, derived

SITES = ("agh", "lrz", "cscs", "uva")
OUTPUTS = ("heatmap", "weights", "image/png")
policies = st.builds(
    Policy,
    sites=st.none() | st.frozensets(st.sampled_from(SITES)),
    release=st.lists(st.sampled_from(OUTPUTS)).map(tuple),
)
AT_AGH = Policy(sites=frozenset({"agh"}), release=("heatmap",))


@given(policies)
def test_a_policy_survives_its_document(policy: Policy):
    assert Policy.from_document(json.loads(json.dumps(policy.to_document()))) == policy


@given(policies)
def test_combining_a_policy_with_itself_or_with_the_free_one_changes_nothing(policy: Policy):
    assert combined([policy]) == combined([policy, policy]) == combined([ANYWHERE, policy]) == policy


@given(policies, policies, policies)
def test_the_order_and_the_grouping_of_a_combination_do_not_matter(a: Policy, b: Policy, c: Policy):
    assert {combined(order) for order in permutations((a, b, c))} == {combined([a, combined([b, c])])}


@given(st.lists(policies), st.sampled_from(SITES))
def test_a_combination_allows_a_site_exactly_when_every_owner_does(several: list[Policy], site: str):
    assert combined(several).allows(site) == all(policy.allows(site) for policy in several)


@given(st.lists(policies), st.sampled_from(OUTPUTS))
def test_a_combination_releases_an_output_exactly_when_every_owner_does(several: list[Policy], output: str):
    assert combined(several).releases(output_name=output) == all(p.releases(output_name=output) for p in several)


@given(st.lists(policies), st.sampled_from(OUTPUTS), st.sampled_from(SITES))
def test_a_result_may_go_where_every_owner_that_does_not_release_it_allows(
    several: list[Policy], output: str, site: str
):
    result = derived(several, output_name=output)
    assert result.allows(site) == all(p.allows(site) or p.releases(output_name=output) for p in several)


def test_an_output_is_free_by_its_name_or_by_its_media_type():
    by_type = Policy(sites=frozenset({"lrz"}), release=("image/png",))
    assert derived([AT_AGH, by_type], output_name="heatmap", media_type="image/png") == ANYWHERE
    assert derived([AT_AGH, by_type], output_name="heatmap") == by_type
    assert derived([AT_AGH], output_name="patches", media_type="") == AT_AGH


def test_a_result_of_nothing_is_free():
    assert derived([], output_name="x") == combined([]) == ANYWHERE


def test_equal_meanings_are_equal_values():
    assert Policy(sites=None, release=("x",)) == ANYWHERE
    assert Policy(sites=frozenset("a"), release=("y", "x", "y")) == Policy(sites=frozenset("a"), release=("x", "y"))


def test_a_forbidden_move_is_refused_with_what_where_why_and_what_to_do():
    with pytest.raises(PolicyError) as refusal:
        check_move(AT_AGH, "lrz", what="dataset://camelyon17/patient_004.tif")
    assert refusal.value.site == "lrz"
    assert refusal.value.message == (
        "dataset://camelyon17/patient_004.tif must not go to lrz: its policy says that it may lie only at: agh; "
        "free when made of it: heatmap. Let the step run at one of these sites, or ask the owner to change the policy"
    )


def test_owners_who_contradict_each_other_are_named_as_the_reason():
    nowhere = combined([AT_AGH, Policy(sites=frozenset({"lrz"}))])
    with pytest.raises(PolicyError, match=r"may lie only at: no site\. Its owners' policies contradict"):
        check_move(nowhere, "agh", what="x")


@pytest.mark.parametrize(("policy", "site"), [(ANYWHERE, "lrz"), (AT_AGH, "agh")])
def test_an_allowed_move_passes(policy: Policy, site: str):
    check_move(policy, site, what="x")


@pytest.mark.parametrize("document", [None, {}, {"sites": None}, {"sites": None, "release": []}])
def test_a_document_that_says_nothing_is_the_free_policy(document):
    assert Policy.from_document(document) == ANYWHERE


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"site": ["agh"]}, "not a policy"),
        (["agh"], "not a policy"),
        ({"sites": "agh"}, "write a list of names"),
        ({"sites": [""]}, "write a list of names"),
        ({"sites": ["agh"], "release": [4]}, "write a list of names"),
        ({"release": ["heatmap"]}, "forbids nothing"),
    ],
)
def test_a_wrong_document_is_refused_rather_than_read_as_free(document, problem: str):
    with pytest.raises(InvalidInputError, match=problem):
        Policy.from_document(document)
