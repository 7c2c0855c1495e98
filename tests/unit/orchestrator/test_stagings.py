"""Data on its way to tasks: batches, limits, windows, and what is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from metadata.errors import TransferInterruptedError
from metadata.journal import RUNS, Page
from orchestrator import operations
from orchestrator.engine.loop import Engine
from orchestrator.engine.stagings import _TRIES
from orchestrator.registry import load
from staging.locations import partials_folder
from staging.ports import MoveRequest, MoveResult, Progress
from tests.unit.orchestrator.homes import SITES, Home, Killed

PosixMover = load("movers", "posix")

COUNT = """
inputs: {many: {type: 'file[]', default: '{home}/many'}}
steps: {count: {command: 'echo {{inputs.many}} | wc -w > o', in: {many: inputs.many}, at: lrz, outputs: {o: o}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh home."""
    return Home(folder=tmp_path / "home")


def fill(home: Home, count: int) -> None:
    """Small files, each with its own content."""
    (home.folder / "many").mkdir()
    for number in range(count):
        (home.folder / "many" / f"f{number}").write_bytes(b"x" * number)


def set_link(home: Home, rules: str) -> None:
    """What the site file says of the link from here to lrz."""
    (home.folder / "sites.yaml").write_text(SITES + f"links:\n  - {{from: here, to: lrz, {rules}}}\n")


def test_many_small_files_are_one_batch(home: Home) -> None:
    """One order and one arrival in the story, one measurement of the link; each file is told of by itself."""
    fill(home, 300)
    set_link(home, "mover: posix")
    record = home.run(COUNT)
    assert record.state == "COMPLETED", record.message
    stories = [(event.kind, event.subject) for event in record.events if event.kind.startswith("transfer.")]
    assert stories == [("transfer.ordered", "300 files"), ("transfer.completed", "300 files")]
    assert {(row.state, row.mover) for row in record.transfers} == {("COMPLETED", "posix")}
    assert [row.bytes_done for row in record.transfers] == [row.size_bytes for row in record.transfers]
    with home.open() as workspace:
        [measured] = workspace.catalogue.measurements()
    size = sum(row.size_bytes for row in record.transfers)
    assert (measured.files, measured.size_bytes, measured.direction, measured.streams) == (300, size, "local", 1)


def test_one_bad_file_fails_and_its_fellows_arrive(home: Home) -> None:
    """The story says which, and nobody relies on it again; a retry after it was mended needs nothing else."""
    fill(home, 20)
    plan = home.plan(COUNT)
    bad = home.folder / "many/f7"
    facts = bad.stat()
    bad.write_bytes(b"y" * 7)
    os.utime(bad, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with home.open() as workspace:
        record = home.record(workspace, operations.start(workspace, plan).id)
    assert record.state == "FAILED"
    states = {row.name: row.state for row in record.transfers}
    assert states.pop("f7") == "FAILED"
    assert set(states.values()) == {"COMPLETED"}
    with home.open() as workspace:
        known = {path.name: workspace.catalogue.replica_at("here", str(path)) for path in bad.parent.iterdir()}
    assert [name for name, copy in known.items() if copy is None] == ["f7"]
    bad.write_bytes(b"x" * 7)
    again = home.retry(record.id)
    assert again.state == "COMPLETED", again.message
    assert [row.attempts for row in again.transfers].count(1) >= 19


def test_a_transfer_waits_for_its_window(home: Home) -> None:
    """The run says until when, and can be canceled meanwhile."""
    fill(home, 1)
    soon = datetime.now() + timedelta(hours=2)  # noqa: DTZ005 - this machine's day is meant
    later = soon + timedelta(hours=1)
    set_link(home, f'window: "{soon:%H:%M}-{later:%H:%M}"')
    plan = home.plan(COUNT)
    with home.open() as workspace:
        run = operations.create_run(workspace, plan)
        seen: list[float] = []

        def watch(progress: object) -> None:
            seen.append(time.monotonic())
            if len(seen) == 1:
                with home.open() as other:
                    other.journal.commit(_wish(run))

        record = home.record(workspace, operations.resume(workspace, run, watch=watch).id)
    assert record.state == "CANCELED"
    waits = [event.message for event in record.events if event.kind == "transfer.waiting"]
    assert waits == [f"its window opens at {soon:%H:%M}"]


def test_a_step_of_a_higher_priority_gets_its_data_first(home: Home) -> None:
    """Over a link that carries one transfer after the other; without priorities the oldest goes first."""
    for name in ("a", "b"):
        (home.folder / name).write_bytes(os.urandom(64 << 20))
    set_link(home, "mover: posix, at_once: 1")
    record = home.run("""
inputs: {a: '{home}/a', b: '{home}/b'}
steps:
  early: {command: 'wc -c {{inputs.a}}', in: {a: inputs.a}, at: lrz}
  urgent: {command: 'wc -c {{inputs.b}}', in: {b: inputs.b}, at: lrz, priority: 5}
""")
    assert record.state == "COMPLETED", record.message
    begun = sorted(record.transfers, key=lambda row: row.started_at or 0)
    assert [row.name for row in begun] == ["b", "a"]


def test_a_limited_link_takes_its_time(home: Home) -> None:
    """Nine mebibytes at four megabytes a second are more than two seconds."""
    (home.folder / "many").mkdir()
    (home.folder / "many/f").write_bytes(os.urandom(9 << 20))
    set_link(home, "limit: 4 MB/s, mover: posix")
    record = home.run(COUNT)
    [row] = record.transfers
    assert row.ended_at is not None
    assert row.started_at is not None
    assert row.ended_at - row.started_at > 2.0


def test_a_canceled_run_leaves_no_partial_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would resume it."""
    (home.folder / "many").mkdir()
    (home.folder / "many/f").write_bytes(os.urandom(9 << 20))
    partials = Path(partials_folder(home.folder / "sites/lrz"))  # type: ignore[arg-type]
    seen: list[list[str]] = []
    set_link(home, "mover: posix")

    def breaks(self: object, request: MoveRequest, *, progress: Progress) -> MoveResult:
        def stop(done: int) -> None:
            seen.append(os.listdir(partials))
            raise TransferInterruptedError("cut", retry_after_s=0.05)

        result: MoveResult = move(self, request, progress=stop)
        return result

    move = PosixMover.move
    monkeypatch.setattr(PosixMover, "move", breaks)
    plan = home.plan(COUNT)
    with home.open() as workspace:
        run = operations.create_run(workspace, plan)

        def watch(progress: object) -> None:
            if seen:
                with home.open() as other:
                    other.journal.commit(_wish(run))

        record = home.record(workspace, operations.resume(workspace, run, watch=watch).id)
    assert record.state in ("CANCELED", "FAILED")
    assert len(seen[0]) == 1
    assert os.listdir(partials) == []


def test_a_transfer_that_was_paused_when_its_run_was_canceled_is_canceled(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off only then, and nobody would resume it."""
    (home.folder / "many").mkdir()
    (home.folder / "many/f").write_bytes(os.urandom(9 << 20))
    set_link(home, "mover: posix")
    canceled = threading.Event()

    def dawdles(self: object, request: MoveRequest, *, progress: Progress) -> MoveResult:
        def slow(done: int) -> None:
            canceled.wait(20)
            progress(done)

        result: MoveResult = move(self, request, progress=slow)
        return result

    move = PosixMover.move
    monkeypatch.setattr(PosixMover, "move", dawdles)
    plan = home.plan(COUNT)
    with home.open() as workspace:
        run = operations.create_run(workspace, plan)

        def watch(_: object) -> None:
            kinds = {event.kind for event in operations.show(workspace, run).events}
            with home.open() as other:
                if "run.canceling" in kinds:
                    canceled.set()
                elif "transfer.paused" in kinds:
                    other.journal.commit(_wish(run))
                elif "transfer.ordered" in kinds:
                    other.holds.hold([run], "pause")

        record = home.record(workspace, operations.resume(workspace, run, watch=watch).id)
    assert (record.state, [row.state for row in record.transfers]) == ("CANCELED", ["CANCELED"])
    assert os.listdir(partials_folder(home.folder / "sites/lrz")) == []  # type: ignore[arg-type]


def test_a_transfer_that_its_engines_did_not_survive_has_not_failed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tries are still there for what breaks off on the way."""
    fill(home, 2)
    set_link(home, "mover: posix")
    moves: list[bool] = []
    move, turn = PosixMover.move, Engine._turn

    def breaks(self: object, request: MoveRequest, *, progress: Progress) -> MoveResult:
        moves.append(True)
        if len(moves) <= _TRIES + 1:
            raise TransferInterruptedError("cut", retry_after_s=0.01)
        return move(self, request, progress=progress)

    def dies(engine: Engine) -> None:
        if moves:
            raise Killed
        turn(engine)

    monkeypatch.setattr(PosixMover, "move", breaks)
    plan = home.plan(COUNT)
    with home.open() as workspace:
        operations.create_run(workspace, plan)
    for _ in range(_TRIES):
        moves.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "_turn", dies)
            with pytest.raises(Killed):
                home.resume()
    moves += [True] * (_TRIES - 1)
    record = home.resume()
    assert record.state == "COMPLETED", record.message


def test_partial_files_that_nobody_wants_are_cleaned_away(home: Home) -> None:
    """Young ones stay: somebody may be writing them; wanted ones stay, however old."""
    fill(home, 2)
    plan = home.plan(COUNT)
    with home.open() as workspace:
        operations.create_run(workspace, plan)
        folder = home.folder / "sites/lrz/data/partial"
        folder.mkdir(parents=True)
        for name in ("old", "young"):
            (folder / name).write_bytes(b"half")
        os.utime(folder / "old", (0, 0))
        removed = operations.clean_data(workspace)
        assert [(row.site, Path(row.path).name, row.size_bytes, row.trouble) for row in removed] == [
            ("lrz", "old", 4, "")
        ]
        assert os.listdir(folder) == ["young"]
        assert operations.clean_data(workspace) == []


def test_content_that_nobody_knows_is_cleaned_away_when_that_is_asked_for(home: Home) -> None:
    """A process that was killed may have given it its name, and told nobody. What is known or young stays."""
    fill(home, 1)
    with home.open() as workspace:
        operations.put_data(workspace, [str(home.folder / "many/f0")], "known", sites=["lrz"])
        store = home.folder / "sites/lrz/data"
        [known] = [path for path in store.glob("*/*") if path.parent.name != "partial"]
        strangers = [store / "ab" / f"ab{number:062}" for number in range(2)]
        for path in (*strangers, store / "ab/of-somebody-else"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"content")
        for path in (known, strangers[0], store / "ab/of-somebody-else"):
            os.utime(path, (0, 0))
        assert operations.clean_data(workspace) == []
        seen: list[Sequence[object]] = []
        assert operations.clean_data(workspace, unknown=True, confirm=lambda rows: bool(seen.append(rows))) == []
        assert strangers[0].exists()
        [removed] = operations.clean_data(workspace, unknown=True)
        assert [removed] == list(seen[0])
        assert (removed.site, removed.path) == ("lrz", str(strangers[0]))
        assert [path.exists() for path in (known, *strangers)] == [True, False, True]
        assert (store / "ab/of-somebody-else").exists()


def test_what_becomes_known_while_a_person_thinks_stays(home: Home) -> None:
    """Another process has found it, and relies on it."""
    fill(home, 2)
    with home.open() as workspace:
        operations.put_data(workspace, [str(home.folder / "many/f1")], "known", sites=["lrz"])
        path = next(path for path in (home.folder / "sites/lrz/data").glob("*/*") if path.parent.name != "partial")
        os.utime(path, (0, 0))
        workspace.catalogue.remove_replicas("lrz", [(str(path), path.name)])

        def think(rows: Sequence[object]) -> bool:
            operations.put_data(workspace, [str(home.folder / "many/f1")], "again", sites=["lrz"])
            return len(rows) == 1

        assert operations.clean_data(workspace, unknown=True, confirm=think) == []
        assert path.exists()


def test_content_that_another_site_of_the_same_folder_knows_stays(home: Home) -> None:
    """Two partitions of one cluster are two sites, perhaps."""
    fill(home, 2)
    two = "  gpu: {workdir: sites/lrz, storage: command, runner: local}\n"
    (home.folder / "sites.yaml").write_text(SITES + two)
    with home.open() as workspace:
        operations.put_data(workspace, [str(home.folder / "many/f1")], "known", sites=["lrz"])
        path = next(path for path in (home.folder / "sites/lrz/data").glob("*/*") if path.parent.name != "partial")
        os.utime(path, (0, 0))
        assert operations.clean_data(workspace, unknown=True) == []
        assert path.exists()


def _wish(run: str) -> Page:
    """Somebody wants the run to end."""
    page = Page()
    page.update(RUNS, run, wanted="cancel")
    return page
