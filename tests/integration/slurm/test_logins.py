"""A site that wants a code after the key: jobs wait for a person, and one person's login serves everybody."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from adapters.runners.ssh import SshRunner
from metadata.errors import LoginNeededError
from tests.integration.slurm.conftest import PROGRAM, Clusters, environment
from tests.testbed.fixtures import TestbedSite, wait_until
from tests.testbed.local_sshd import make_key

CODE, WRONG_CODE = "271828", "314159"
PASSPHRASE = "planted passphrase of a key"
# The code as such, and not six digits of a hash or a time; the option, except where its owner put it.
PLANTED = re.compile(
    rb"(?<![0-9a-f.])271828(?![0-9a-f.])|(?<!PLANTED_OPTION=)planted-site-secret|" + PASSPHRASE.encode()
)
SECRET_DOOR = """\
    storage: command
    doors: {webdav: {url: "https://localhost", password: "${PLANTED_OPTION}"}}
"""
ACROSS = """\
name: guarded
steps:
  make: {command: "echo made > made.txt", outputs: {made: made.txt}, at: agh}
  read: {command: "cat {{inputs.made}} > read.txt", in: {made: make.made}, outputs: {read: read.txt}, at: lrz}
"""


@pytest.fixture
def guarded(fragile_clusters: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clusters]:
    """Agh lets nobody in without a code; nobody has logged in yet."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    file = fragile_clusters.home / "sites.yaml"
    file.write_text(file.read_text().replace("{host: psnc,", "{host: psnc, port: 2222,"))
    yield fragile_clusters
    fragile_clusters.run("site", "logout", "agh")


def _runner(clusters: Clusters) -> SshRunner:
    """As the site file has it; a program that has no person beside it."""
    return SshRunner(site="agh", options={**clusters.sites["agh"].ssh_options, "port": 2222})


def log_in(clusters: Clusters, *answers: str) -> tuple[int, str]:
    """`convoy site login agh` at a terminal, where a person types answers. Its exit code, and all that it showed."""
    words = [*PROGRAM, "--home", str(clusters.home), "site", "login", "agh"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(words[0], words, environment())
    said, asked, left = b"", b"", list(answers)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                said += (news := os.read(terminal, 4096))
            except OSError:  # the other end is closed
                break
            asked += news
        if left and asked.rstrip().endswith(b":"):
            os.write(terminal, f"{left.pop(0)}\n".encode())
            asked = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode(errors="replace")


def test_a_run_waits_for_a_login_and_goes_on_when_a_person_has_logged_in_elsewhere(guarded: Clusters) -> None:
    """What it made at the guarded site is moved through the same login."""
    engine = guarded.start("run", guarded.write(ACROSS), "--no-report")
    try:
        wait_until((guarded.home / "convoy.db").exists)
        wait_until(lambda: "convoy site login agh" in guarded.run("show").stdout, within_s=120)
        assert engine.poll() is None
        code, said = log_in(guarded, CODE)
        assert code == 0, said
        assert "alice" in said
        assert CODE not in said
        assert engine.wait(timeout=120) == 0
    finally:
        engine.kill()
        engine.wait()
    record = guarded.record()
    assert (record.state, record.counts) == ("COMPLETED", {"COMPLETED": 2})
    assert [task.attempts[0].number for step in record.steps for task in step.tasks] == [1, 1]
    assert [row.state for row in record.transfers] == ["COMPLETED"]
    story = [event.kind for event in record.events if event.subject == "agh"]
    assert story[:2] == ["site.login", "site.answers"]


class Watch:
    """Notes the words and the environment of every program, here and at a site, for as long as it is open."""

    def __init__(self, site: TestbedSite) -> None:
        self._site = site
        self._stop = threading.Event()
        self._worker = threading.Thread(target=self._look)
        self.seen: set[bytes] = set()
        self.rounds = 0

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._worker.join()

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            for path in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
                with contextlib.suppress(OSError):
                    self.seen.add(path.read_bytes())
            self.seen.add(self._site.execute("ps", "-efww").encode())
            self.rounds += 1


@pytest.fixture
def locked(guarded: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The only key with which agh lets alice in; a passphrase opens it."""
    key = tmp_path_factory.mktemp("keys") / "locked"
    make_key(key, passphrase=PASSPHRASE)
    admitted = guarded.sites["agh"].root / "home/alice/.ssh/authorized_keys"
    others = admitted.read_text()
    admitted.write_text(key.with_name("locked.pub").read_text())
    file = guarded.home / "sites.yaml"
    file.write_text(file.read_text().replace("{host: psnc,", f"{{host: psnc, identity_file: {key},"))
    yield key
    admitted.write_text(others)


def test_no_code_passphrase_or_secret_of_the_site_file_stands_anywhere(
    guarded: Clusters, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a list of programs, a log, the database, the report, the crate or a script at the site."""
    monkeypatch.setenv("PLANTED_OPTION", "planted-site-secret")
    file = guarded.home / "sites.yaml"
    file.write_text(file.read_text().replace("    storage: command\n", SECRET_DOOR, 1))
    with Watch(guarded.sites["agh"]) as watch:
        code, said = log_in(guarded, PASSPHRASE, CODE)
        assert code == 0, said
        done = guarded.run("--verbose", "run", guarded.write(ACROSS))
        assert done.returncode == 0, done.stderr
        crate = guarded.run("report", guarded.record().id)
        assert crate.returncode == 0, crate.stderr
    assert watch.rounds > 1
    here = {str(path): path.read_bytes() for path in guarded.home.parent.rglob("*") if path.is_file()}
    there = guarded.sites["agh"].execute("/bin/sh", "-c", f"cd {guarded.workdir} && grep -r '' . || true").encode()
    told = {"screen": (done.stdout + done.stderr + crate.stdout + crate.stderr + said).encode(), "site": there}
    assert any("report" in name for name in here)
    told |= here | {f"programs {n}": text for n, text in enumerate(watch.seen)}
    assert [name for name, text in told.items() if PLANTED.search(text)] == []
    inside = [line.encode() for line in locked.read_text().splitlines()[1:-1]]
    assert [name for name, text in told.items() if any(line in text for line in inside)] == []


def test_one_login_serves_commands_of_every_process_until_it_ends(guarded: Clusters) -> None:
    runner = _runner(guarded)
    with pytest.raises(LoginNeededError, match="convoy site login agh"):
        runner.run(("true",))
    assert log_in(guarded, CODE)[0] == 0
    try:
        assert runner.run(("sh", "-c", "cat; echo err >&2; exit 3"), stdin="in\n").stdout == "in\n"
        assert guarded.run("job", "exec", "agh", "--", "id", "-un").stdout.strip() == "alice"
        runner.log_out()
        wait_until(lambda: not runner._share.login.open)
        with pytest.raises(LoginNeededError):
            runner.run(("true",))
    finally:
        runner.close()


def test_a_wrong_code_is_told_and_opens_nothing(guarded: Clusters) -> None:
    code, said = log_in(guarded, WRONG_CODE)
    assert code != 0
    assert "did not accept the answer" in said
    assert not _runner(guarded)._share.login.open
