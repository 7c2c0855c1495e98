"""The movers that work over SSH between two real sites that share nothing with this machine or each other."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters._openssh.logins import shared_words
from adapters._openssh.sides import Side
from adapters.movers._ssh.introductions import introduced
from adapters.runners.ssh import Question, SshRunner
from metadata.errors import LoginNeededError, NoSpaceError, StagingError, TransferInterruptedError
from orchestrator.registry import load
from staging.ports import Credential, Direction, Endpoint, MoveFile, MoveRequest, ShellAnswer
from tests.integration.movers.pairs import Pair, below, busy, move, opened_login, sha256, traces
from tests.testbed.fixtures import TestbedSite, wait_until

BETWEEN = ["tar", "rsync", "scp"]
"""Those that need no byte to come by this machine."""
ODD_NAMES = [
    "a b",
    "-n",
    "it's",
    '"',
    "$(id)",
    "*[x]?",
    "a\nb",
    "a\\b",
    "é ü 漢",
    " end ",
    "fran\udce7ais",
    "{a,b}",
    "~",
]


@pytest.mark.parametrize("mover", BETWEEN)
def test_files_of_any_name_go_from_site_to_site_by_a_key_that_lives_as_long_as_that(pair: Pair, mover: str) -> None:
    """And nothing of it is left at either."""
    for number, name in enumerate(ODD_NAMES):
        pair.write(name, os.urandom(1000 * number))
    result = move(mover, pair.request(*ODD_NAMES))
    for name in ODD_NAMES:
        assert pair.at_destination(f"new/{name}.part").read_bytes() == pair.at_source(name).read_bytes()
    assert result.bytes_moved == sum(1000 * number for number in range(len(ODD_NAMES)))
    assert traces(pair) == []


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("mover", BETWEEN)
def test_files_go_from_site_to_site_by_the_users_agent(pair: Pair, mover: str) -> None:
    """No key is written anywhere."""
    pair.write("file", b"content")
    keys = pair.destination.root / "home/alice/.ssh/authorized_keys"
    before = keys.stat().st_mtime_ns
    move(mover, pair.request("file", credential=Credential.AGENT))
    assert pair.at_destination("new/file.part").read_bytes() == b"content"
    assert keys.stat().st_mtime_ns == before
    assert traces(pair) == []


def test_without_an_agent_it_is_said_what_to_do(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwarding nothing would be a riddle at the other site."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    pair.write("file", b"content")
    with pytest.raises(StagingError, match="ssh-add"):
        move("tar", pair.request("file", credential=Credential.AGENT))


@pytest.mark.parametrize("mover", BETWEEN)
def test_a_transfer_that_is_broken_off_leaves_no_key_and_no_process(pair: Pair, mover: str) -> None:
    """Whoever cancels wants it to end everywhere."""
    pair.write("file", os.urandom(8 << 20))

    def stop(done: int) -> None:
        if done:
            raise TransferInterruptedError(f"after {done}")

    with pytest.raises(TransferInterruptedError):
        load("movers", mover)().move(pair.request("file", limit_bytes_per_s=1e6), progress=stop)
    wait_until(lambda: not busy(pair), within_s=20, what="the end of everything at the sites")
    wait_until(lambda: traces(pair) == [], within_s=20, what="the removal of the key")
    # rsync counts what it sent, which need not lie there yet.
    part = pair.at_destination("new/file.part")
    arrived = part.read_bytes() if part.exists() else b""
    assert pair.at_source("file").read_bytes().startswith(arrived)
    move(mover, pair.request("file"))
    assert sha256(pair.at_destination("new/file.part")) == sha256(pair.at_source("file"))


def test_the_key_is_good_for_nothing_but_its_transfer(pair: Pair) -> None:
    """It may be stolen, after all."""
    sides = [Side(site=site.name, door=site.ssh_options) for site in (pair.source, pair.destination)]
    with introduced(*sides, Credential.SHORT_LIVED_KEY, command=lambda _: "echo transfer") as introduction:
        keys = (pair.destination.root / "home/alice/.ssh/authorized_keys").read_text().splitlines()
        key = next(line for line in keys if "convoy" in line)
        assert key.startswith('expiry-time="20')
        assert ',restrict,command="echo transfer" ssh-ed25519 ' in f",{key.partition(',')[2]}"
        said = introduction.initiator.run(f"{introduction.command} {shlex.quote('id; cat /etc/passwd')}")
        assert said == b"transfer\n"
        folder = below(pair.source, introduction.folder, "")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert traces(pair) == []


def test_what_a_crash_left_goes_with_the_next_transfer(pair: Pair) -> None:
    """An engine that was killed removes nothing."""
    keys = pair.destination.root / "home/alice/.ssh/authorized_keys"
    before = keys.read_text()
    keys.write_text(f"{before}restrict ssh-ed25519 AAAA convoy-introduction-dead 1000000000\n")
    stale = pair.source.root / "tmp/convoy-introduction.stale"
    stale.mkdir()
    os.chown(stale, 2001, 2001)
    os.utime(stale, (0, 0))
    pair.write("file", b"content")
    move("tar", pair.request("file"))
    assert keys.read_text() == before
    assert traces(pair) == []


def test_the_destination_starts_where_only_it_reaches_the_other(pair: Pair) -> None:
    """Firewalls let out more than in."""
    pair.write("file", os.urandom(100_000))
    # The login that this machine has stays, whoever else knocks gets no answer.
    shared_words(pair.source.name, pair.source.ssh_options)
    shared_words(pair.destination.name, pair.destination.ssh_options)
    for mover in BETWEEN:
        pair.destination.execute("pkill", "-f", "^sshd: /usr/sbin/sshd .listener")
        try:
            move(mover, pair.request("file"))
        finally:
            pair.destination.fault("svc", "sshd", "sshd-otp")
        assert sha256(pair.at_destination("new/file.part")) == sha256(pair.at_source("file"))
        pair.at_destination("new/file.part").unlink()
    assert traces(pair) == []


def test_sites_that_do_not_reach_each_other_are_named_with_the_way_out(pair: Pair) -> None:
    """The route may be relayed then."""
    pair.write("file", b"content")
    addresses = [site.address for site in (pair.source, pair.destination)]
    pair.source.execute("ip", "route", "add", "blackhole", addresses[1])
    try:
        with pytest.raises(StagingError, match=r"mva does not reach mvb .*mvb does not reach mva .*[Rr]elay"):
            move("tar", pair.request("file"))
    finally:
        pair.source.execute("ip", "route", "del", "blackhole", addresses[1])


@pytest.mark.parametrize("missing", ["source", "destination"])
@pytest.mark.parametrize("direction", [Direction.THIRD_PARTY, Direction.RELAY])
def test_gnu_tar_stands_in_where_python_is_absent(pair: Pair, missing: str, direction: Direction) -> None:
    """What was not hashed on its way is hashed by the engine."""
    names = [*ODD_NAMES, "n" * 150]
    for number, name in enumerate(names):
        pair.write(name, os.urandom(1000 * number))
    site: TestbedSite = getattr(pair, missing)
    with python_hidden(site):
        request = pair.request(*names, direction=direction)
        result = move("tar", request)
        for name in names:
            assert pair.at_destination(f"new/{name}.part").read_bytes() == pair.at_source(name).read_bytes()
        assert len(result.digests) == (len(names) if missing == "source" else 0)
        assert result.bytes_moved == request.size_bytes
        pair.at_destination(f"new/{names[-1]}.part").unlink()
        assert move("tar", request).bytes_moved == 1000 * (len(names) - 1)


def test_without_python_at_both_ends_another_mover_is_asked_for(pair: Pair) -> None:
    """The engine takes the next one then."""
    pair.write("file", b"content")
    with python_hidden(pair.source), python_hidden(pair.destination), pytest.raises(StagingError, match="python3"):
        move("tar", pair.request("file", direction=Direction.RELAY))


@contextmanager
def python_hidden(site: TestbedSite) -> Iterator[None]:
    """Python is not there for alice while the block lasts."""
    program = site.execute("readlink", "-f", "/usr/bin/python3").strip()
    site.execute("chmod", "0", program)
    try:
        yield
    finally:
        site.execute("chmod", "755", program)


@pytest.mark.parametrize("mover", ["tar", "ssh"])
@pytest.mark.parametrize("direction", [Direction.THIRD_PARTY, Direction.RELAY])
def test_login_shells_that_talk_spoil_no_byte(pair: Pair, mover: str, direction: Direction) -> None:
    """Quota notices and modules write into every session."""
    if direction not in load("movers", mover).capabilities.directions:
        pytest.skip("it goes by this machine")
    pair.write("file", os.urandom(1 << 20))
    starts = [site.root / "home/alice/.bashrc" for site in (pair.source, pair.destination)]
    before = [start.read_text() for start in starts]
    try:
        for start, text in zip(starts, before, strict=True):
            start.write_text(f"echo welcome; printf half; printf 'oh\\n' >&2\n{text}")
        result = move(mover, pair.request("file", direction=direction))
    finally:
        for start, text in zip(starts, before, strict=True):
            start.write_text(text)
    assert sha256(pair.at_destination("new/file.part")) == sha256(pair.at_source("file"))
    assert [digest.sha256 for digest in result.digests.values()] == [sha256(pair.at_source("file"))]
    assert traces(pair) == []


@pytest.mark.parametrize("mover", ["tar", "ssh", "sftp"])
def test_a_relay_goes_by_this_machine_and_writes_nothing_here(pair: Pair, mover: str, tmp_path: Path) -> None:
    """Sites need not know each other."""
    pair.write("file", os.urandom(3 << 20))
    before = set(Path("/tmp").iterdir())
    move(mover, pair.request("file", direction=Direction.RELAY))
    assert sha256(pair.at_destination("new/file.part")) == sha256(pair.at_source("file"))
    assert not [
        path for path in set(Path("/tmp").iterdir()) - before if path.is_file() and path.stat().st_size > 1 << 20
    ]


@pytest.mark.parametrize("mover", ["tar", "rsync", "scp", "ssh", "sftp"])
def test_a_login_that_died_is_replaced(pair: Pair, mover: str, tmp_path: Path) -> None:
    """Somebody restarted sshd, or somebody tripped over a cable."""
    (tmp_path / "file").write_bytes(b"content")
    file = MoveFile(source_path=str(tmp_path / "file"), partial_path=f"{pair.folder}/file.part", size_bytes=7)
    request = replace(
        pair.request(), direction=Direction.PUSH, credential=Credential.NONE, files=(file,),
        source=Endpoint(site="here", doors={"file": {}}),
    )  # fmt: skip
    move(mover, request)
    socket = socket_of(shared_words(pair.destination.name, pair.destination.ssh_options))
    pair.destination.fault("drop-sessions")
    wait_until(lambda: not socket.exists(), what="the end of the login")
    pair.at_destination("file.part").unlink()
    move(mover, request)
    assert pair.at_destination("file.part").read_bytes() == b"content"


def socket_of(words: list[str]) -> Path:
    """Where a shared login listens."""
    return Path(next(word for word in words if word.startswith("ControlPath=")).partition("=")[2].strip('"'))


def test_a_login_that_somebody_opened_is_used(pair: Pair) -> None:
    """There a person answered for it, and no program could log in by itself."""
    with opened_login(pair.destination) as door:
        pair.write("file", b"content")
        destination = pair.endpoint(pair.destination, **door)
        move("tar", pair.request("file", direction=Direction.RELAY, destination=destination))
        assert pair.at_destination("new/file.part").read_bytes() == b"content"


class Person:
    """Knows the one-time code of the testbed's second door."""

    def ask(self, *, site: str, title: str, questions: Sequence[Question]) -> list[str]:
        """The code, as often as it is asked for."""
        assert site
        assert title is not None
        return ["271828" for _ in questions]


def test_sftp_works_over_a_persons_login(pair: Pair, tmp_path: Path) -> None:
    """One login with a code serves commands and files."""
    options = {**pair.destination.ssh_options, "port": 2222}
    runner = SshRunner(site="mvb", options=options, prompter=Person())
    try:
        runner.connect()
        site = Endpoint(site="mvb", doors={"ssh": {k: str(v) for k, v in options.items()}}, shell=runner)
        here = Endpoint(site="here", doors={"file": {}})
        (tmp_path / "file").write_bytes(os.urandom(3 << 20))
        file = MoveFile(source_path=str(tmp_path / "file"), partial_path=f"{pair.folder}/x.part", size_bytes=3 << 20)
        move("sftp", MoveRequest(source=here, destination=site, files=(file,), direction=Direction.PUSH))
        assert sha256(pair.at_destination("x.part")) == sha256(tmp_path / "file")
        back = MoveFile(source_path=f"{pair.folder}/x.part", partial_path=str(tmp_path / "back"), size_bytes=3 << 20)
        result = move("sftp", MoveRequest(source=site, destination=here, files=(back,), direction=Direction.PULL))
        assert result.digests[str(tmp_path / "back")].sha256 == sha256(tmp_path / "file")
        assert runner.run(("echo", "still here")).stdout == "still here\n"
    finally:
        runner.close()


class NobodyAsks:
    """A shell for commands that could not log in by itself."""

    def open_sftp(self) -> object:
        """Nobody is there to answer."""
        raise LoginNeededError("mvb wants a person", site="mvb")

    def run(self, argv: tuple[str, ...], *, stdin: str = "", timeout_s: float = 60.0) -> ShellAnswer:
        """No command is needed."""
        raise AssertionError((argv, stdin, timeout_s))


def test_sftp_goes_by_a_login_that_a_person_opened_elsewhere(pair: Pair, tmp_path: Path) -> None:
    """As `convoy site login` does: this program's own connection would ask again, and nobody is there."""
    (tmp_path / "file").write_bytes(b"content")
    file = MoveFile(source_path=str(tmp_path / "file"), partial_path=f"{pair.folder}/x.part", size_bytes=7)
    with opened_login(pair.destination) as door:
        site = Endpoint(site="mvb", doors={"ssh": door}, shell=NobodyAsks())
        here = Endpoint(site="here", doors={"file": {}})
        move("sftp", MoveRequest(source=here, destination=site, files=(file,), direction=Direction.PUSH))
    assert pair.at_destination("x.part").read_bytes() == b"content"


@pytest.mark.parametrize("mover", BETWEEN)
def test_a_full_destination_is_told_by_those_that_go_between_sites(pair: Pair, mover: str) -> None:
    """Whoever of the two began it."""
    pair.write("file", os.urandom(3 << 20))
    new = f"{pair.folder}/new"
    pair.destination.execute("sh", "-c", f"mkdir {new} && mount -t tmpfs -o size=1m,uid=2001 tmpfs {new}")
    try:
        with pytest.raises(NoSpaceError, match="convoy retry") as caught:
            move(mover, pair.request("file"))
        assert caught.value.site == "mvb"
    finally:
        pair.destination.execute("umount", new)
