"""The engine: whatever happens, every task ends well once, or is told to have failed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from metadata.catalogue import Catalogue
from metadata.errors import SiteError, SiteUnavailableError
from metadata.history import RunRecord
from metadata.journal import Journal
from metadata.records import NewFile
from orchestrator import operations
from orchestrator.engine.loop import Engine
from orchestrator.registry import load
from tests.unit.orchestrator.homes import Home, Killed, wait_until

LocalExecutor = load("executors", "local")

CHAIN = """
steps:
  make:
    scatter: {n: {range: 2}}
    command: "echo x >> {home}/make; echo {{with.n}} > o"
    outputs: {o: o}
    at: agh
  gather:
    command: "echo x >> {home}/gather; cat {{inputs.i}} > all"
    in: {i: make.o}
    outputs: {all: all}
    at: lrz
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return Home(folder=tmp_path / "home")


def dies_at(call: Callable[..., Any], number: int, moment: str) -> tuple[Callable[..., Any], list[bool]]:
    """`call`, but its `number`-th time ends in death, before or after it does its work."""
    calls: list[bool] = []

    def deadly(*arguments: Any, **named: Any) -> Any:
        calls.append(len(calls) + 1 == number)
        if calls[-1] and moment == "before":
            raise Killed
        answer = call(*arguments, **named)
        if calls[-1]:
            raise Killed
        return answer

    return deadly, calls


def killed(home: Home, text: str, owner: type, name: str, number: int, moment: str) -> bool:
    """Runs a workflow whose engine dies at one call of `owner.name`. False when it never came so far."""
    with pytest.MonkeyPatch.context() as patch:
        deadly, calls = dies_at(getattr(owner, name), number, moment)
        patch.setattr(owner, name, deadly)
        with contextlib.suppress(Killed):
            home.run(text)
    return any(calls)


def check_chain(home: Home, record: RunRecord) -> None:
    """Every task of the chain ran once to success, and nothing is left over."""
    assert (record.state, record.counts) == ("COMPLETED", {"COMPLETED": 3}), record.message
    assert (home.lines("make"), home.lines("gather")) == (2, 1)
    assert len(record.transfers) == 2
    assert {move.state for move in record.transfers} == {"COMPLETED"}
    assert Path(record.steps[1].tasks[0].outputs["all"][0].path).read_text() == "0\n1\n"
    with home.open() as workspace:
        assert len(workspace.catalogue.files(record.id)) == 3
    assert not [path for path in home.folder.rglob("*") if ".part" in path.name or path.name.endswith(".new")]


def brought_to_end(home: Home) -> RunRecord:
    """How the only run ends; it may have died before it was begun, or after its last word."""
    with home.open() as workspace:
        known = operations.list_runs(workspace)
        if known and known[0].state == "COMPLETED":
            return home.record(workspace, known[0].id)
    return home.resume() if known else home.run(CHAIN)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_engine_that_dies_at_any_write_of_its_journal_loses_and_repeats_nothing(moment: str, tmp_path: Path) -> None:
    """Each write in turn is the last thing that it does, or the first that it does not."""
    number = 1
    while killed(home := Home(folder=tmp_path / str(number)), CHAIN, Journal, "commit", number, moment):
        number += 1
        check_chain(home, brought_to_end(home))
    assert number > 5


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_an_engine_that_dies_while_it_submits_loses_and_repeats_nothing(moment: str, number: int, home: Home) -> None:
    """The attempt is written down, and nobody knows whether the site has it."""
    assert killed(home, CHAIN, LocalExecutor, "submit", number, moment)
    check_chain(home, home.resume())


def test_a_canceled_run_leaves_no_job_that_the_journal_does_not_know(home: Home) -> None:
    """The engine died after the site took the job and before that was written down."""
    text = "steps: {a: {command: 'echo $$ > {home}/pid; exec sleep 60', at: agh}}"
    assert killed(home, text, LocalExecutor, "submit", 1, "after")
    with home.open() as workspace:
        run_id = operations.newest(workspace)
        record = operations.cancel(workspace, run_id)
    assert record.state == "CANCELED"
    if home.lines("pid"):
        pid = int((home.folder / "pid").read_text())
        wait_until(
            lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", what="the job to end"
        )


def test_a_run_is_resumed_while_its_last_job_runs(home: Home) -> None:
    """Nothing else is there that would wake the engine."""
    text = "steps: {a: {command: 'echo x >> {home}/a; sleep 1', at: agh}}"
    turn = Engine._turn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Engine, "_turn", lambda engine: (_ for _ in ()).throw(Killed) if home.lines("a") else turn(engine)
        )
        with pytest.raises(Killed):
            home.run(text)
    assert home.resume().state == "COMPLETED"
    assert home.lines("a") == 1


def test_an_engine_rests_while_a_second_try_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due once is not due for ever."""
    turns: list[int] = []
    turn = Engine._turn
    monkeypatch.setattr(Engine, "_turn", lambda engine: (turns.append(1), turn(engine)))
    record = home.run(
        "steps: {a: {command: 'echo x >> {home}/a; [ $(wc -l < {home}/a) = 2 ] && sleep 1.5', at: agh, retries: 1}}"
    )
    assert record.state == "COMPLETED"
    assert len(turns) < 30


def test_a_retry_that_asks_for_too_much_fails_alone(home: Home) -> None:
    """Whatever else is handed in beside it goes on."""
    record = home.run("""
steps:
  greedy:
    command: sleep 0.1; exit 3
    resources: {memory: 400MiB}
    retries: {attempts: 3, grow: {memory: 2}}
    at: agh
  modest: {command: sleep 0.05, scatter: {n: {range: 8}}, at: agh}
""")
    greedy, modest = record.steps
    assert modest.counts == {"COMPLETED": 8}
    assert greedy.counts == {"FAILED": 1}
    assert [attempt.resources["memory"] >> 20 for attempt in greedy.tasks[0].attempts] == [400, 800, 1600]
    assert "memory" in greedy.tasks[0].message


def test_a_retry_tells_its_program_what_it_asked_for(home: Home) -> None:
    """In the command and in the environment."""
    record = home.run("""
steps:
  a:
    command: '[ $MOST -gt 500000000 ] && echo {{resources.memory}} $MOST > {home}/told'
    environment: {MOST: "{{resources.memory}}"}
    resources: {memory: 400MiB}
    retries: {attempts: 1, grow: {memory: 2}}
    at: agh
""")
    assert [attempt.state for attempt in record.steps[0].tasks[0].attempts] == ["FAILED", "COMPLETED"]
    assert (home.folder / "told").read_text() == f"{800 << 20} {800 << 20}\n"


@pytest.mark.timeout(60)
def test_a_task_that_needs_what_could_not_be_brought_fails_whenever_it_opens(home: Home) -> None:
    """The run ends, and says why."""
    source = home.folder / "slide"
    source.write_text("good")
    text = """
inputs: {s: {home}/slide}
steps:
  now: {command: 'cat {{inputs.s}}', in: {s: inputs.s}, at: lrz}
  slow: {command: sleep 0.7; touch o, outputs: {o: o}, at: agh}
  later: {command: 'cat {{inputs.s}} {{inputs.o}}', in: {s: inputs.s, o: slow.o}, at: lrz}
"""
    plan = home.plan(text)
    facts = source.stat()
    source.write_text("evil")
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with home.open() as workspace:
        record = home.record(workspace, operations.start(workspace, plan).id)
    assert record.state == "FAILED"
    assert {step.name: step.counts for step in record.steps} == {
        "now": {"FAILED": 1},
        "slow": {"COMPLETED": 1},
        "later": {"FAILED": 1},
    }
    assert "no longer holds sha256" in record.steps[0].tasks[0].message
    assert "no longer holds sha256" in record.steps[2].tasks[0].message


def test_a_step_that_cannot_open_fails_the_run_once_all_else_has_ended(home: Home) -> None:
    """No job runs on unseen, and a retry gives the same clear answer."""
    record = home.run("""
steps:
  many: {command: touch 1.csv 2.csv, outputs: {o: {path: '*.csv', type: 'file[]'}}, at: agh}
  long: {command: sleep 1; touch o, outputs: {o: o}, at: lrz}
  odd: {command: x, scatter: {f: many.o, n: [1, 2, 3]}, at: agh}
""")
    assert record.state == "FAILED"
    assert "different lengths (f: 2, n: 3)" in record.message
    assert record.counts == {"COMPLETED": 2}
    again = home.retry(record.id)
    assert (again.state, again.message) == (record.state, record.message)


def test_a_run_of_which_a_part_failed_still_does_what_follows_on_a_result_that_it_took_over(home: Home) -> None:
    """Nothing was under way in the instant in which the step before the last was opened and taken over."""
    text = """
steps:
  first: {command: 'sleep 0.5; echo 1 > o # WORD', outputs: {o: o}, at: agh}
  second: {command: 'cat {{inputs.o}} > p', in: {o: first.o}, outputs: {p: p}, at: agh}
  third: {command: 'echo x >> {home}/third; cat {{inputs.p}} > q; : WORD', in: {p: second.p}, outputs: {q: q}, at: agh}
"""
    assert home.run(text.replace("WORD", "early")).state == "COMPLETED"
    record = home.run(text.replace("WORD", "late") + "  bad: {command: exit 1, at: agh}\n")
    assert record.state == "FAILED"
    assert {step.name: step.counts for step in record.steps}["third"] == {"COMPLETED": 1}
    assert home.lines("third") == 2


@pytest.mark.timeout(60)
@pytest.mark.parametrize("known", [False, True])
def test_a_result_that_cannot_be_registered_fails_its_task_alone(home: Home, known: bool) -> None:
    """Its name stands for other content already, that of an attempt of which nobody knows any more, perhaps."""
    text = "steps: {a: {scatter: {n: {range: 3}}, command: 'echo {{with.n}} > o', outputs: {o: o}, at: agh}}"
    if known:
        home.run(text)
    plan = home.plan(text)
    with home.open() as workspace:
        run = operations.create_run(workspace, plan)
        workspace.catalogue.add_files(run, [NewFile(path="a/1/o", size_bytes=1, sha256="0" * 64)])
        record = home.record(workspace, operations.resume(workspace, run).id)
    assert [task.state for task in record.steps[0].tasks] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "a/1/o" in record.steps[0].tasks[1].message


def test_equal_tasks_take_over_results_unless_all_is_to_be_fresh(home: Home) -> None:
    """And those in front of which something changed run again."""
    first, second = home.run(CHAIN), home.run(CHAIN)
    assert (home.lines("make"), home.lines("gather")) == (2, 1)
    assert second.steps[1].tasks[0].reused_from.startswith(f"{first.id}#")
    assert home.run(CHAIN, fresh=True).state == "COMPLETED"
    assert (home.lines("make"), home.lines("gather")) == (4, 2)
    home.run(CHAIN.replace("cat {{inputs.i}}", "cat  {{inputs.i}}"))
    assert (home.lines("make"), home.lines("gather")) == (4, 3)


@pytest.mark.parametrize("harm", ["removed", "overwritten"])
def test_a_result_that_is_not_there_any_more_is_made_again(harm: str, home: Home) -> None:
    """Also where another of the same size stands in its place."""
    chain = CHAIN.replace("at: lrz", "at: agh")
    path = Path(home.run(chain).steps[0].tasks[0].outputs["o"][0].path)
    path.unlink()
    if harm == "overwritten":
        path.write_text("9\n")
    record = home.run(chain.replace("cat {{", "cat  {{"))
    assert home.lines("make") == 3
    assert Path(record.steps[1].tasks[0].outputs["all"][0].path).read_text() == "0\n1\n"


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x0cb"])
def test_a_result_that_cannot_be_registered_fails_its_task_and_not_the_engine(name: str, home: Home) -> None:
    """The message shows the name."""
    record = home.run(f"""
steps:
  odd: {{command: [touch, "{name.encode("unicode_escape").decode()}"], outputs: {{o: {{path: 'a*b', type: 'file[]'}}}}, at: agh}}
  fine: {{command: touch o, outputs: {{o: o}}, at: lrz}}
""")
    assert {step.name: step.counts for step in record.steps} == {"odd": {"FAILED": 1}, "fine": {"COMPLETED": 1}}
    assert repr(f"{name}") in record.steps[0].tasks[0].message


@pytest.mark.parametrize("name", ["a b", "é ü", "a\u00a0b", "漢\u3000字", "it's", "$(id)", "-n"])
def test_a_result_of_any_usual_name_is_handed_on(name: str, home: Home) -> None:
    """Spaces of every country are spaces."""
    record = home.run(f"""
steps:
  make: {{command: ["/bin/sh", "-c", 'echo hello > "$1"', sh, "{name}"], outputs: {{o: "{name}"}}, at: agh}}
  read: {{command: 'cat {{{{inputs.i}}}} > copy', in: {{i: make.o}}, outputs: {{c: copy}}, at: lrz}}
""")
    assert record.state == "COMPLETED", record.message
    assert Path(record.steps[1].tasks[0].outputs["c"][0].path).read_text() == "hello\n"


@pytest.mark.parametrize(("name", "missing"), [("absent", "did not leave o (absent)"), ("b*", "did not leave o (b*)")])
def test_a_program_that_does_not_leave_what_it_should_has_failed(name: str, missing: str, home: Home) -> None:
    """Though it said that all was well."""
    record = home.run(f"steps: {{a: {{command: touch x, outputs: {{o: {name}}}, at: agh}}}}")
    assert record.state == "FAILED"
    assert missing in record.steps[0].tasks[0].message


def fails_once(
    call: Callable[..., Any], error: Exception, when: Callable[..., bool] = lambda *_: True
) -> Callable[..., Any]:
    """`call`, but the first time that `when` holds it raises."""
    left = [error]

    def failing(*arguments: Any, **named: Any) -> Any:
        if left and when(*arguments):
            raise left.pop()
        return call(*arguments, **named)

    return failing


def test_a_catalogue_that_does_not_answer_once_costs_no_results(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked database is nothing unusual."""
    error = SiteUnavailableError("locked")
    monkeypatch.setattr(
        Catalogue, "add_files", fails_once(Catalogue.add_files, error, lambda _, name, *__: name.startswith("toy-"))
    )
    check_chain(home, home.run(CHAIN))


@pytest.mark.parametrize(
    "error", [SiteError("broken"), SiteUnavailableError("silent", retry_after_s=0.1)], ids=["refusal", "silence"]
)
@pytest.mark.parametrize("method", ["status", "find"])
def test_a_site_that_stumbles_once_costs_no_run(
    method: str, error: Exception, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again."""
    monkeypatch.setattr(LocalExecutor, method, fails_once(getattr(LocalExecutor, method), error))
    check_chain(home, home.run(CHAIN))


def test_the_last_words_of_a_failed_program_are_told(home: Home) -> None:
    """With its code, its site and its step."""
    record = home.run("steps: {a: {command: 'echo first >&2; echo disk on fire >&2; exit 4', at: agh}}")
    assert record.steps[0].tasks[0].message == "agh: exit code 4: disk on fire"
    assert record.message == "tasks failed: 1 of 1 in a"


def test_an_empty_list_is_no_work_and_no_fault(home: Home) -> None:
    """What comes after it runs with nothing."""
    record = home.run("""
steps:
  none: {command: x, scatter: {n: {range: 0}}, outputs: {o: o}, at: agh}
  after: {command: 'echo {{inputs.i}} > o', in: {i: none.o}, outputs: {o: o}, at: agh}
""")
    assert (record.state, record.counts) == ("COMPLETED", {"COMPLETED": 1})
