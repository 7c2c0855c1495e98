"""One process at most writes a file at a site."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from metadata import claims
from metadata.claims import Claims, place_of
from metadata.holders import LAPSES_AFTER_S, this_process
from metadata.sessions import Sessions, insertion
from tests.testbed.fixtures import wait_until

HOLDER = """
import sys, time
from metadata.claims import Claims
from metadata.sessions import open_sessions
with Claims(open_sessions(sys.argv[1])).held({"a", "b"}):
    print("held", flush=True)
    time.sleep(60)
"""


def held(database: Sessions) -> set[str]:
    """What is claimed by anybody."""
    with database.reading() as session:
        return {row["place"] for row in session.rows("SELECT place FROM claims")}


def change(database: Sessions, statement: str, **values: object) -> None:
    """Past every claim."""
    with database.writing() as session:
        session.change(statement, **values)


def test_what_one_holds_another_does_not_get(database: Sessions) -> None:
    """Of several places it gets the others; afterwards all are free again."""
    both = Claims(database)
    with both.held({"a", "b"}) as first, both.held({"b", "c"}) as second, both.held({"a", "c"}) as third:
        assert (first.places, second.places, third.places) == ({"a", "b"}, {"c"}, frozenset())
        assert held(database) == {"a", "b", "c"}
    assert held(database) == set()


def test_claims_end_with_an_error_too(database: Sessions) -> None:
    """Nobody would ever get them otherwise."""
    with pytest.raises(RuntimeError), Claims(database).held({"a"}):
        raise RuntimeError
    assert held(database) == set()


def test_what_a_dead_process_held_is_free(url: str, database: Sessions) -> None:
    """It lets go of nothing by itself."""
    child = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"held\n"
        with Claims(database).held({"a", "c"}) as claim:
            assert claim.places == {"c"}
        child.kill()
        child.wait()
    with Claims(database).held({"a", "c"}) as claim:
        assert claim.places == {"a", "c"}
    assert held(database) == set()


@pytest.mark.parametrize(("silent_s", "free"), [(LAPSES_AFTER_S / 2, False), (LAPSES_AFTER_S * 2, True)])
def test_a_process_on_another_machine_shows_that_it_lives(database: Sessions, silent_s: float, *, free: bool) -> None:
    """Nobody here can look at it."""
    other = {**this_process(), "host": "elsewhere", "heartbeat_at": time.time() - silent_s}
    row = {"place": "a", "holder": "other", **other}
    change(database, insertion("claims", row), **row)
    with Claims(database).held({"a"}) as claim:
        assert claim.places == ({"a"} if free else frozenset())


def test_a_holder_says_that_it_lives_and_learns_that_it_was_taken_for_dead(
    database: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a long sleep of its machine."""
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.02)
    with Claims(database).held({"a"}) as claim:
        change(database, "UPDATE claims SET heartbeat_at = 0")

        def told() -> bool:
            with database.reading() as session:
                return all(row["heartbeat_at"] for row in session.rows("SELECT heartbeat_at FROM claims"))

        wait_until(told, what="a sign of life")
        assert not claim.lost
        change(database, "UPDATE claims SET holder = 'other'")
        wait_until(lambda: claim.lost, what="the loss")
    assert held(database) == {"a"}


def test_thousands_of_places_are_claimed_at_once(database: Sessions) -> None:
    """A batch of files is one claim."""
    places = {place_of("agh", f"/data/{number}") for number in range(3000)}
    with Claims(database).held(places) as claim, Claims(database).held(places) as second:
        assert claim.places == places
        assert second.places == frozenset()


def test_names_that_are_no_text_have_places_too() -> None:
    """And no two files share one."""
    paths = ["/a", "/a\udcff", "/a\udcfe", "/é"]
    assert len({place_of(site, path) for site in ("agh", "lrz") for path in paths}) == 8
