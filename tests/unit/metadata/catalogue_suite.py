"""What the catalogue must do on every database. The tests of each database subclass these."""

import json
import operator
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from metadata.catalogue import Catalogue, NewFile, ReplicaRecord
from metadata.errors import ConflictError, InvalidInputError, NotFoundError
from metadata.policy import ANYWHERE, Policy

AGH = Policy(sites=frozenset({"agh"}), release=("heatmap",))
AGH_OR_LRZ = Policy(sites=frozenset({"agh", "lrz"}))
_numbers = count()


def sha256(number: int) -> str:
    return f"{number:064x}"


def new_file(path: str, content: int = 1, **fields) -> NewFile:
    return NewFile(path=path, size_bytes=content, sha256=sha256(content), **fields)


def replica(site: str, path: str, content: int = 1, **fields) -> ReplicaRecord:
    known = {"size_bytes": content, "verified_at": 1.0, **fields}
    return ReplicaRecord(sha256=sha256(content), site=site, path=path, **known)


def paths(files) -> list[str]:
    return [file.path for file in files]


class DatasetTests:
    def test_files_come_back_as_they_were_added(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("a/1.tif", 7, media_type="image/tiff")], description="Slides.")
        found = catalogue.file("slides", "a/1.tif")
        assert (found.dataset, found.path, found.size_bytes) == ("slides", "a/1.tif", 7)
        assert (found.sha256, found.media_type, found.policy) == (sha256(7), "image/tiff", ANYWHERE)

    def test_a_dataset_knows_its_files_number_and_size(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1", 10), new_file("2", 20)], description="Slides.")
        found = catalogue.dataset("slides")
        assert (found.name, found.description, found.file_count, found.size_bytes) == ("slides", "Slides.", 2, 30)
        assert isinstance(found.size_bytes, int)

    def test_an_empty_dataset_has_no_files_and_no_bytes(self, catalogue: Catalogue):
        catalogue.add_files("slides", [])
        assert (catalogue.dataset("slides").file_count, catalogue.dataset("slides").size_bytes) == (0, 0)
        assert catalogue.resolve("slides") == []

    def test_ten_thousand_files_are_added_and_told_of(self, catalogue: Catalogue):
        catalogue.add_files("slides", (new_file(f"{i:05}.tif", i) for i in range(10_000)))
        assert catalogue.dataset("slides").file_count == 10_000
        assert len(catalogue.policies(map(sha256, range(10_000)))) == 10_000

    def test_adding_a_file_again_changes_nothing(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1.tif")], description="Slides.", policy=AGH)
        before = catalogue.dataset("slides"), catalogue.files("slides")
        catalogue.add_files("slides", [new_file("1.tif")])
        assert (catalogue.dataset("slides"), catalogue.files("slides")) == before

    def test_other_content_under_a_known_path_is_refused_and_nothing_is_added(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1.tif", 1)])
        with pytest.raises(ConflictError) as refusal:
            catalogue.add_files("slides", [new_file("0.tif", 3), new_file("1.tif", 2)])
        assert sha256(1) in refusal.value.message
        assert sha256(2) in refusal.value.message
        assert "another path" in refusal.value.message
        assert paths(catalogue.files("slides")) == ["1.tif"]

    def test_one_path_with_two_contents_in_one_call_is_refused(self, catalogue: Catalogue):
        with pytest.raises(ConflictError, match="is known with"):
            catalogue.add_files("slides", [new_file("1.tif", 1), new_file("1.tif", 2)])
        assert catalogue.datasets() == []

    def test_adding_files_does_not_change_a_policy_silently(self, catalogue: Catalogue):
        catalogue.add_files("slides", [], policy=AGH)
        with pytest.raises(ConflictError, match="may lie only at: agh"):
            catalogue.add_files("slides", [new_file("1.tif")], policy=Policy())
        assert catalogue.dataset("slides").policy == AGH

    def test_a_new_description_replaces_the_old_one(self, catalogue: Catalogue):
        catalogue.add_files("slides", [], description="old")
        catalogue.add_files("slides", [], description="new")
        assert catalogue.dataset("slides").description == "new"

    @pytest.mark.parametrize("name", ["", "a/b", "a b", ".hidden", "a*", "a\n"])
    def test_a_name_that_an_address_cannot_carry_is_refused(self, catalogue: Catalogue, name: str):
        with pytest.raises(InvalidInputError, match="cannot name a dataset"):
            catalogue.add_files(name, [])

    @pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\0b", "\ud800"])
    def test_a_path_that_leaves_its_dataset_or_breaks_a_listing_is_refused(self, catalogue: Catalogue, path: str):
        with pytest.raises(InvalidInputError, match="cannot name a file"):
            catalogue.add_files("slides", [new_file(path)])

    @pytest.mark.parametrize("size_bytes", [-1, 2**63])
    def test_a_size_that_no_file_has_is_refused(self, catalogue: Catalogue, size_bytes: int):
        with pytest.raises(InvalidInputError, match="cannot have"):
            catalogue.add_files("slides", [NewFile(path="1.tif", size_bytes=size_bytes, sha256=sha256(1))])

    @pytest.mark.parametrize("wrong", ["", "abc", "A" * 64, "g" * 64, "a" * 65])
    def test_a_wrong_hash_is_refused(self, catalogue: Catalogue, wrong: str):
        with pytest.raises(InvalidInputError, match="no SHA-256"):
            catalogue.add_files("slides", [NewFile(path="1.tif", size_bytes=1, sha256=wrong)])

    def test_a_missing_dataset_is_told_with_the_nearest_name(self, catalogue: Catalogue):
        catalogue.add_files("camelyon17", [])
        for question in (catalogue.dataset, catalogue.files, catalogue.resolve, catalogue.attributes):
            with pytest.raises(NotFoundError, match="did you mean camelyon17"):
                question("camelyon71")

    def test_a_missing_file_is_told_with_the_nearest_name(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("patient_004.tif")])
        with pytest.raises(NotFoundError, match=r"did you mean patient_004\.tif"):
            catalogue.file("slides", "patient_04.tif")

    def test_a_name_that_is_no_text_is_refused(self, catalogue: Catalogue):
        for ask in (
            catalogue.dataset,
            lambda name: catalogue.add_files(name, []),
            lambda name: catalogue.policies([name]),
        ):
            with pytest.raises(InvalidInputError, match="the database cannot hold"):
                ask("a\udcff")

    def test_datasets_are_listed_by_pattern_in_order(self, catalogue: Catalogue):
        for name in ("cam17", "Cam", "cam16", "lung"):
            catalogue.add_files(name, [])
        assert [dataset.name for dataset in catalogue.datasets("cam*")] == ["cam16", "cam17"]
        assert [dataset.name for dataset in catalogue.datasets()] == ["Cam", "cam16", "cam17", "lung"]

    def test_a_star_stays_in_its_folder_and_two_go_deeper(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file(path) for path in ("1.tif", "a/2.tif", "A/3.tif", "a/b/4.tif", "x_y")])
        assert paths(catalogue.files("slides", "*.tif")) == ["1.tif"]
        assert paths(catalogue.files("slides", "**/*.tif")) == ["1.tif", "A/3.tif", "a/2.tif", "a/b/4.tif"]
        assert paths(catalogue.files("slides", "a/**")) == ["a/2.tif", "a/b/4.tif"]
        assert paths(catalogue.files("slides", "x_?")) == ["x_y"]

    def test_an_address_means_a_file_or_a_folder_or_a_pattern_or_everything(self, catalogue: Catalogue):
        known = ("1.tif", "a/2.tif", "a/b/3.tif", "A/4.tif", "ab/5.tif", "odd[1].tif")
        catalogue.add_files("slides", [new_file(path) for path in known])
        assert paths(catalogue.resolve("slides", "a/2.tif")) == ["a/2.tif"]
        assert paths(catalogue.resolve("slides", "a")) == paths(catalogue.resolve("slides", "a/"))
        assert paths(catalogue.resolve("slides", "a")) == ["a/2.tif", "a/b/3.tif"]
        assert paths(catalogue.resolve("slides", "[12].tif")) == ["1.tif"]
        assert paths(catalogue.resolve("slides", "odd[1].tif")) == ["odd[1].tif"]
        assert paths(catalogue.resolve("slides")) == sorted(known)

    def test_an_address_that_means_nothing_is_refused(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("a/1.tif")])
        for path in ("b", "*.svs", "A", "a/1", "%", "_/1.tif"):
            with pytest.raises(NotFoundError, match="the dataset slides has no file"):
                catalogue.resolve("slides", path)

    # Each example uses a dataset of its own, and each database runs the examples for itself.
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(parts=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1)))
    def test_any_usable_path_comes_back(self, catalogue: Catalogue, parts: list[str]):
        path = "/".join(["x", *(part for part in parts if part not in (".", ".."))])
        dataset = f"d{next(_numbers)}"
        catalogue.add_files(dataset, [new_file(path)])
        assert paths(catalogue.resolve(dataset, path)) == [path]

    def test_writers_at_the_same_time_add_every_file_once(self, catalogue: Catalogue):
        together = threading.Barrier(4)

        def add(offset: int) -> None:
            together.wait()
            added = [new_file(f"{i:03}", i) for i in range(offset, offset + 150)]
            catalogue.add_files("slides", added[:: -1 if offset == 50 else 1])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, (0, 50, 100, 100)))
        assert paths(catalogue.files("slides")) == [f"{i:03}" for i in range(250)]


class ReplicaTests:
    def test_replicas_are_told_by_content_in_order(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("lrz", "/b"), replica("agh", "/a", modified_ns=2**62), replica("agh", "/c", 2)])
        found = catalogue.replicas([sha256(1), sha256(2), sha256(3)])
        assert [(copy.site, copy.path, copy.modified_ns) for copy in found[sha256(1)]] == [
            ("agh", "/a", 2**62),
            ("lrz", "/b", None),
        ]
        assert found[sha256(2)] == [replica("agh", "/c", 2)]
        assert found[sha256(3)] == []

    def test_the_newest_word_on_a_path_replaces_the_older_one(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a", 1)])
        catalogue.add_replicas([replica("agh", "/a", 2, verified_at=9.0)])
        assert catalogue.replicas([sha256(1)]) == {sha256(1): []}
        assert catalogue.replicas([sha256(2)])[sha256(2)] == [replica("agh", "/a", 2, verified_at=9.0)]

    def test_what_lies_at_a_path_is_told(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a"), replica("lrz", "/a", 2)])
        assert catalogue.replica_at("lrz", "/a") == replica("lrz", "/a", 2)
        assert catalogue.replica_at("lrz", "/b") is None

    def test_a_removed_replica_is_forgotten(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a"), replica("lrz", "/a"), replica("agh", "/b")])
        for _ in range(2):
            catalogue.remove_replicas("agh", [("/a", sha256(1)), ("/never", sha256(1))])
        catalogue.remove_replicas("agh", [])
        found = catalogue.replicas([sha256(1)])[sha256(1)]
        assert [(copy.site, copy.path) for copy in found] == [("agh", "/b"), ("lrz", "/a")]

    def test_what_looking_at_a_copy_showed_is_noted_of_known_copies_only(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a", 1), replica("agh", "/b", 2)])
        seen = [replica("agh", path, 1, verified_at=9.0, modified_ns=7) for path in ("/a", "/b", "/gone")]
        catalogue.refresh_replicas(seen)
        assert catalogue.replicas([sha256(1)])[sha256(1)] == [seen[0]]
        assert catalogue.replicas_at("agh", ["/b", "/gone", "no text \udcff"])["/b"] == replica("agh", "/b", 2)

    def test_names_are_given_only_to_what_lies_where_it_was_brought(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a", 1), replica("lrz", "/a", 1), replica("agh", "/b", 2)])
        catalogue.add_files("a", [new_file("x", 1)], lying_at=["agh", "lrz"])
        with pytest.raises(ConflictError, match="dataset://a/y was taken away from lrz"):
            catalogue.add_files("a", [new_file("y", 2)], lying_at=["agh", "lrz"])
        assert paths(catalogue.files("a")) == ["x"]

    def test_a_path_that_got_other_content_is_not_forgotten_for_the_old(self, catalogue: Catalogue):
        catalogue.add_replicas([replica("agh", "/a", 1)])
        catalogue.add_replicas([replica("agh", "/a", 2)])
        catalogue.remove_replicas("agh", [("/a", sha256(1))])
        assert catalogue.replica_at("agh", "/a") == replica("agh", "/a", 2)

    def test_many_replicas_are_added_at_once(self, catalogue: Catalogue):
        catalogue.add_replicas(replica("agh", f"/{i}", i) for i in range(10_000))
        assert all(len(copies) == 1 for copies in catalogue.replicas(map(sha256, range(10_000))).values())

    def test_writers_at_the_same_time_agree_on_every_path(self, catalogue: Catalogue):
        records = [replica("agh", f"/{i}", i) for i in range(200)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(catalogue.add_replicas, (records, records[::-1], records, records[::-1])))
        assert all(len(copies) == 1 for copies in catalogue.replicas(map(sha256, range(200))).values())


class PolicyTests:
    def test_renaming_does_not_evade_a_policy(self, catalogue: Catalogue):
        catalogue.add_files("restricted", [new_file("1.tif", 1)], policy=AGH)
        catalogue.add_files("free", [new_file("harmless.bin", 1), new_file("2.tif", 2)])
        assert catalogue.policies([sha256(1), sha256(2)]) == {sha256(1): AGH, sha256(2): ANYWHERE}

    def test_policies_of_a_file_and_of_all_its_datasets_are_combined(self, catalogue: Catalogue):
        three = Policy(sites=frozenset({"agh", "lrz", "cscs"}))
        catalogue.add_files("a", [new_file("1")], policy=AGH_OR_LRZ)
        catalogue.add_files("b", [new_file("1", policy=Policy(sites=frozenset({"lrz", "cscs"})))], policy=three)
        assert catalogue.policies([sha256(1)])[sha256(1)].sites == {"lrz"}
        assert catalogue.file("b", "1").policy.sites == {"lrz", "cscs"}

    def test_content_that_nobody_knows_is_free(self, catalogue: Catalogue):
        assert catalogue.policies([sha256(5)]) == {sha256(5): ANYWHERE}

    def test_a_file_added_again_from_stricter_inputs_becomes_stricter_and_never_looser(self, catalogue: Catalogue):
        for policy in (None, AGH_OR_LRZ, AGH, None, Policy()):
            catalogue.add_files("results", [new_file("1", policy=policy)])
        assert catalogue.policies([sha256(1)])[sha256(1)].sites == {"agh"}

    def test_a_policy_can_be_set_and_taken_away(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1")])
        catalogue.set_policy("slides", AGH)
        assert (catalogue.dataset("slides").policy, catalogue.file("slides", "1").policy) == (AGH, AGH)
        catalogue.set_policy("slides", None)
        assert catalogue.policies([sha256(1)])[sha256(1)] == ANYWHERE

    def test_the_policy_of_a_missing_dataset_cannot_be_set(self, catalogue: Catalogue):
        with pytest.raises(NotFoundError):
            catalogue.set_policy("slides", AGH)

    def test_data_that_may_go_anywhere_has_no_policy_stored(self, engine: Engine, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1", policy=Policy()), new_file("2")], policy=Policy())
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM files WHERE policy IS NULL")).scalar_one() == 2
            assert connection.execute(text("SELECT count(*) FROM datasets WHERE policy IS NULL")).scalar_one() == 1


# Each file has one attribute, `x`, of the value at its position; `missing` has none.
VALUES = (4, 4.5, -1, 0.25, "4", "004", "HE", "patient_004", "", "a b", 'quo"te', "Grüße", ["breast", 4], [0.5], [])


def meets(value, sign: str, wanted: str, number: float | None = None) -> bool:
    """What a condition means, in Python. `number` is `wanted` as a number, where it is one."""
    if sign == "@":
        return isinstance(value, list) and (wanted in value or number in value)
    if isinstance(value, list):
        return False
    if sign == "~":
        return isinstance(value, str) and re.search(wanted, value) is not None
    if sign in ("=", "!="):
        return (value == (wanted if isinstance(value, str) else number)) == (sign == "=")
    return not isinstance(value, str) and ORDERINGS[sign](value, number)


ORDERINGS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


class AttributeTests:
    @pytest.mark.parametrize("value", [*VALUES, 2**53 - 1, 1e300, -0.1, [1, "a", 2.5]])
    def test_a_value_comes_back_as_it_was_set(self, catalogue: Catalogue, value):
        catalogue.add_files("slides", [new_file("1")])
        catalogue.set_attributes("slides", {"x": value})
        catalogue.set_attributes("slides", {"x": value, "y": 1}, path="1")
        assert catalogue.dataset("slides").attributes == {"x": value}
        assert catalogue.attributes("slides", "1") == {"x": value, "y": 1}
        assert type(catalogue.attributes("slides")["x"]) is type(value)

    def test_setting_replaces_key_by_key_and_none_removes(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1")])
        catalogue.set_attributes("slides", {"a": 1, "b": "two", "c": [3]})
        catalogue.set_attributes("slides", {"a": "one", "b": None})
        assert catalogue.attributes("slides") == {"a": "one", "c": [3]}
        assert catalogue.attributes("slides", "1") == {}

    @pytest.mark.parametrize(
        "value", [True, float("nan"), float("inf"), {"a": 1}, [True], [[1]], "a\0b", "\ud800", b"x"]
    )
    def test_a_value_that_is_neither_number_nor_text_nor_list_is_refused(self, catalogue: Catalogue, value):
        catalogue.add_files("slides", [])
        with pytest.raises(InvalidInputError, match="write a finite number, a text, or a list"):
            catalogue.set_attributes("slides", {"x": value})

    @pytest.mark.parametrize("key", ["", "a b", "4", "a=b", "name", "sha256", "a~"])
    def test_a_key_that_no_search_could_name_is_refused(self, catalogue: Catalogue, key: str):
        catalogue.add_files("slides", [])
        with pytest.raises(InvalidInputError, match="cannot name an attribute"):
            catalogue.set_attributes("slides", {key: 1})

    def test_attributes_of_what_is_missing_are_refused(self, catalogue: Catalogue):
        catalogue.add_files("slides", [])
        with pytest.raises(NotFoundError, match="no file or folder '1'"):
            catalogue.set_attributes("slides", {"x": 1}, path="1")
        with pytest.raises(NotFoundError):
            catalogue.set_attributes("other", {"x": 1})

    def test_writers_at_the_same_time_leave_one_value(self, engine: Engine, catalogue: Catalogue):
        catalogue.add_files("slides", [])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda i: catalogue.set_attributes("slides", {"x": i}), range(20)))
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM attributes")).scalar_one() == 1


class SearchTests:
    @pytest.fixture
    def described(self, catalogue: Catalogue) -> Catalogue:
        catalogue.add_files("values", [new_file("missing"), *(new_file(f"{i:02}") for i in range(len(VALUES)))])
        for i, value in enumerate(VALUES):
            catalogue.set_attributes("values", {"x": value}, path=f"{i:02}")
        return catalogue

    def test_numbers_are_found_as_python_would_find_them(self, described: Catalogue):
        for sign, number in product(["=", "!=", *ORDERINGS, "@"], ["4", "4.5", "0.25", "-1", "4.0", "1e3", "004"]):
            expected = [value for value in VALUES if meets(value, sign, number, float(number))]
            assert _values(described.find([f"x{sign}{number}"])) == expected, f"x{sign}{number}"

    def test_texts_are_found_as_python_would_find_them(self, described: Catalogue):
        words = ["HE", "patient_00.*", "^p", "breast", "a b", "Grüße", "", 'quo"te', "4", r"^\d+$"]
        for sign, word in product(["=", "!=", "~", "@"], words):
            condition = f"x{sign}{json.dumps(word)}"
            assert _values(described.find([condition])) == [v for v in VALUES if meets(v, sign, word)], condition

    @pytest.mark.parametrize(
        ("item", "expected"), [("breast", [12]), ("4", [12]), ("0.50", [13]), ('"4"', []), ("b", [])]
    )
    def test_lists_are_found_by_their_items(self, described: Catalogue, item: str, expected: list[int]):
        assert [int(file.path) for file in described.find([f"x contains {item}"])] == expected

    def test_every_condition_must_hold(self, described: Catalogue):
        assert paths(described.find(["x>0", "x<4.5", "path!=00"])) == ["03"]
        assert len(described.find([])) == len(VALUES) + 1

    def test_a_file_shares_its_datasets_attributes_unless_it_has_its_own(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1"), new_file("2")])
        catalogue.add_files("others", [new_file("3")])
        catalogue.set_attributes("slides", {"hospital": "RUMC"})
        catalogue.set_attributes("slides", {"hospital": "CWZ"}, path="2")
        assert paths(catalogue.find(["hospital=RUMC"])) == ["1"]
        assert paths(catalogue.find(["hospital!=RUMC"])) == ["2"]
        assert paths(catalogue.find(["hospital~.*"])) == ["1", "2"]

    def test_datasets_are_found_by_their_own_attributes_only(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("1")], description="Lymph nodes")
        catalogue.set_attributes("slides", {"organs": ["breast"]})
        catalogue.set_attributes("slides", {"patient": 4}, path="1")
        assert [found.name for found in catalogue.find(["organs@breast"], kind="datasets")] == ["slides"]
        assert [found.name for found in catalogue.find(["description~nodes$"], kind="datasets")] == ["slides"]
        assert catalogue.find(["patient=4"], kind="datasets") == []

    def test_files_are_found_by_their_fields(self, catalogue: Catalogue):
        catalogue.add_files("slides", [new_file("patient_004.tif", 4, media_type="image/tiff"), new_file("x", 9)])
        for condition in ("name~patient_00.*", "size_bytes<9", "media_type=image/tiff", f"sha256={sha256(4)}"):
            assert paths(catalogue.find(["dataset=slides", condition])) == ["patient_004.tif"]

    @pytest.mark.parametrize("condition", ["name<3", "size_bytes~4", "size_bytes=many", "name@x", "description=x"])
    def test_a_field_that_cannot_be_compared_so_is_refused(self, catalogue: Catalogue, condition: str):
        with pytest.raises(InvalidInputError, match=re.escape(condition[:4])):
            catalogue.find([condition])


def _values(files) -> list:
    return [VALUES[int(file.path)] for file in files]
