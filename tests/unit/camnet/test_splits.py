"""Training and validation never share what they must not share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usecases.camnet.layer2.splits import BY_PATIENT, RANDOM, SPATIAL, PatchTable, split


def table(patients: list[int], tumour: list[bool], *, spread: float = 5000, seed: int = 0) -> PatchTable:
    corners = np.random.default_rng(seed).uniform(0, spread, (len(patients), 2))
    numbers = np.array(patients)
    return PatchTable(patient=numbers, slide=numbers, tumour=np.array(tumour), corner=corners, patch_size=224)


def cut(rows: PatchTable, share: float = 0.2, seed: int = 0):
    return split(rows, share=share, generator=np.random.default_rng(seed))


def test_several_mixed_patients_are_kept_apart():
    """Five patients of both classes: one of them validates."""
    rows = table([p for p in range(5) for _ in range(20)], [False, True] * 50)
    found = cut(rows)
    assert found.method == BY_PATIENT
    assert not set(rows.patient[found.train]) & set(rows.patient[found.validation])
    assert len(found.validation) == 20


def test_one_tumour_patient_and_one_healthy_one_are_cut_in_space():
    """By patient, a part would lack a class."""
    rows = table([1] * 200 + [2] * 100, [True] * 100 + [False] * 200)
    found = cut(rows)
    assert found.method == SPATIAL
    assert set(rows.patient[found.validation]) == {1, 2}


def test_a_slide_too_small_to_cut_is_split_at_random():
    """All patches overlap; the method says so."""
    rows = table([1] * 20, [False, True] * 10, spread=100)
    assert cut(rows).method == RANDOM


@pytest.mark.parametrize("tumour", [[True, False], [True] * 5, [True, False, False, False]])
def test_too_few_patches_have_no_split(tumour):
    """Each part needs both classes."""
    assert cut(table([1] * len(tumour), tumour)) is None


@given(
    st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=4, max_size=80),
    st.floats(0.05, 0.5),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_parts_are_disjoint_and_have_both_classes(rows, share, seed):
    """And in the first two methods nothing is shared: no patient, or no pixel."""
    patches = table([patient for patient, _ in rows], [tumour for _, tumour in rows], seed=seed)
    found = cut(patches, share, seed)
    if found is None:
        return
    assert not set(found.train) & set(found.validation)
    assert {*patches.tumour[found.train]} == {*patches.tumour[found.validation]} == {True, False}
    if found.method == BY_PATIENT:
        assert not set(patches.patient[found.train]) & set(patches.patient[found.validation])
    if found.method == SPATIAL:
        gaps = np.abs(patches.corner[found.train][:, None] - patches.corner[found.validation]).max(axis=2)
        same = patches.slide[found.train][:, None] == patches.slide[found.validation]
        assert (gaps[same] >= 224).all()


def test_equal_seeds_make_equal_splits():
    """A training can be repeated."""
    rows = table([p for p in range(9) for _ in range(8)], [False, True] * 36)
    np.testing.assert_array_equal(cut(rows, seed=3).train, cut(rows, seed=3).train)
