"""The file system of a real site, over one kept SSH connection."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath

import pytest

from adapters.storages._agent import conversation
from metadata.errors import NoSpaceError, NotFoundError, SiteError, SiteUnavailableError
from orchestrator.ports import CommandRunner, SiteSettings
from orchestrator.registry import load
from staging.ports import Storage
from tests.testbed.fixtures import Testbed

MANY = 3000


class CountingRunner:
    """A runner that counts how often the site is asked."""

    def __init__(self, runner: CommandRunner) -> None:
        self.runner = runner
        self.asked = 0

    def run(self, argv: tuple[str, ...], *, stdin: str = "", timeout_s: float = 60.0) -> object:
        """Asks."""
        self.asked += 1
        return self.runner.run(argv, stdin=stdin, timeout_s=timeout_s)


@pytest.fixture
def place(testbed: Testbed) -> Iterator[tuple[Storage, str, CountingRunner]]:
    """A storage, a folder of its own there, and the counter."""
    site = testbed.site("sta", DBD=0, NODES=1)
    folder = f"/home/alice/storage-{secrets.token_hex(4)}"
    runner = load("runners", "ssh")(site="sta", options=site.ssh_options)
    counting = CountingRunner(runner)
    settings = SiteSettings(name="sta", workdir=PurePosixPath(folder), options=site.ssh_options)
    yield load("storages", "command")(settings, counting), folder, counting
    site.execute("rm", "-rf", folder)
    runner.close()


@pytest.mark.parametrize(("python", "commands"), [("python3", 3), ("no-such-python", 7)])
def test_thousands_of_files_of_any_name_take_one_question_each(
    place: tuple[Storage, str, CountingRunner], python: str, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts, digests, renames and removal: by the program that stays, or by commands where there is no Python."""
    monkeypatch.setattr(conversation, "PYTHON", python)
    storage, folder, counting = place
    script = f'mkdir -p {folder}/in && cd {folder}/in && seq {MANY} | while read n; do echo $n >"f $n\'"; done'
    counting.runner.run(("/bin/sh", "-c", script), timeout_s=120)
    odd = f"{folder}/in/{os.fsdecode(bytes([0xE9]))}\n$(id)"
    storage.write(odd, b"odd")
    counting.asked = 0
    names = [f"{folder}/in/f {number}'" for number in range(1, MANY + 1)] + [odd]
    facts, digests = storage.stats(names), storage.digests(names)
    assert len(facts) == len(digests) == MANY + 1
    assert digests[names[41]].sha256 == hashlib.sha256(b"42\n").hexdigest()
    assert digests[odd].sha256 == hashlib.sha256(b"odd").hexdigest()
    pairs = [(name, f"{folder}/out/{number % 100}/{number}") for number, name in enumerate(names)]
    storage.rename_all(pairs)
    assert len(storage.files_below(f"{folder}/out")) == MANY + 1
    assert storage.files_below(f"{folder}/in") == []
    storage.remove_all([target for _, target in pairs])
    assert storage.files_below(f"{folder}/out") == []
    assert counting.asked == commands


def test_a_program_that_was_ended_is_started_again(
    place: tuple[Storage, str, CountingRunner], testbed: Testbed
) -> None:
    """At once, or after a question that it did not answer any more."""
    storage, folder, _ = place
    storage.write(f"{folder}/file", b"content")
    names = [f"{folder}/file", *(f"{folder}/{number}" for number in range(MANY))]
    assert list(storage.stats(names)) == [names[0]]
    testbed.site("sta").execute("pkill", "-u", "alice", "-f", "sys.stdin.buffer")
    with suppress(SiteUnavailableError):
        storage.stats(names)
    assert list(storage.stats(names)) == [names[0]]


def test_what_the_file_system_refuses_is_told_by_name(place: tuple[Storage, str, CountingRunner]) -> None:
    """The path that failed, and why."""
    storage, folder, _ = place
    names = [f"{folder}/{number}" for number in range(MANY)]
    with pytest.raises(NotFoundError, match=f"there is no {folder}/0"):
        storage.rename_all([(name, f"{name}-new") for name in names])
    with pytest.raises(SiteError, match="Permission denied"):
        storage.stats([f"/root/{number}" for number in range(MANY)])


def test_the_site_is_reached_by_ssh_and_by_its_shell(place: tuple[Storage, str, CountingRunner]) -> None:
    """What movers need to know."""
    storage, _, _ = place
    assert storage.endpoint.doors["ssh"]["host"] == "sta"
    assert not storage.endpoint.local
    assert storage.endpoint.shell is not None
    assert storage.endpoint.shell.run(("echo", "hello")).stdout == "hello\n"


def test_room_that_is_not_there_is_told(place: tuple[Storage, str, CountingRunner]) -> None:
    """By asking for it, for no question tells of a quota."""
    storage, folder, _ = place
    storage.probe_room(f"{folder}/x", size_bytes=1 << 20)
    with pytest.raises(NoSpaceError, match="sta: no room left"):
        storage.probe_room(f"{folder}/x", size_bytes=storage.survey([folder]).free_bytes + (1 << 30))
    assert storage.files_below(folder) == []
