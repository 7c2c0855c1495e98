"""What OpenSSH's programs are told, and what their words mean."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adapters._openssh.doors import door_words, host_and_path
from adapters._openssh.errors import failure, login_error
from adapters._openssh.logins import _folder
from adapters._openssh.sides import Side, shell_line
from adapters.movers._ssh.peers import find_peer
from adapters.movers.scp import _literal
from metadata.errors import (
    LoginNeededError,
    MiddlewareError,
    NoSpaceError,
    SiteUnavailableError,
    StagingError,
    TransferInterruptedError,
)

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def test_a_door_says_all_that_a_login_needs() -> None:
    """And paths keep their percent signs and blanks."""
    door = {"host": "h", "user": "u", "port": "2", "identity_file": "/a%b", "config_file": "/c", "known_hosts": "/d e"}
    words = " ".join(door_words(door))
    for word in ("-F /c", "-oUser=u", "-oPort=2", "-i /a%%b", 'UserKnownHostsFile="/d e"', "BatchMode=yes"):
        assert word in words
    assert "StrictHostKeyChecking=yes" in words


def test_an_address_with_colons_is_bracketed() -> None:
    """Else scp and rsync take its first part for the host."""
    assert host_and_path("::1", "/x") == "[::1]:/x"
    assert host_and_path("h", "/x") == "h:/x"


def test_a_line_of_shell_means_its_words() -> None:
    """Whatever they hold."""
    odd = ["a b", "$(id)", "it's", "*", "", "a\nb", "-n"]
    said = subprocess.run(
        ["sh", "-c", shell_line('printf "%s|" "$@"', *odd)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split("|")[:-1] == odd


def test_scp_sees_no_pattern_in_a_name() -> None:
    """Its remote sources are patterns, whatever protocol it speaks."""
    assert _literal("/a*[b]?{c,d}\\e") == r"/a\*\[b\]\?\{c,d\}\\e"


@pytest.mark.parametrize(
    ("words", "code", "kind"),
    [
        ("cat: x: No space left on device", 1, NoSpaceError),
        ('rsync: write failed on "x": Disk quota exceeded (122)', 11, NoSpaceError),
        ("ssh: connect to host h port 22: Connection refused", 255, SiteUnavailableError),
        ("ssh: Could not resolve hostname h: Name or service not known", 255, SiteUnavailableError),
        ("Host key verification failed.", 255, StagingError),
        ("alice@h: Permission denied (publickey).", 255, StagingError),
        ("Connection to h closed by remote host.", 255, TransferInterruptedError),
        ("scp: Connection closed", 255, TransferInterruptedError),
        ("client_loop: send disconnect: Broken pipe", 255, TransferInterruptedError),
        ("rsync: connection unexpectedly closed (0 bytes received so far) [sender]", 12, TransferInterruptedError),
        ("", -9, TransferInterruptedError),
        ("tar: x: Cannot open: Permission denied", 2, StagingError),
        ("", 3, StagingError),
    ],
)  # fmt: skip
def test_words_and_codes_become_errors(words: str, code: int, kind: type[MiddlewareError]) -> None:
    """Whether trying again helps is a type."""
    error = failure("agh", words, code)
    assert type(error) is kind
    assert error.site == "agh"
    assert error.message.startswith("agh: ")


def test_a_login_that_is_refused_says_what_to_do() -> None:
    """Another mover may get in by another login."""
    error = login_error("agh", "alice@h: Permission denied (publickey).", 255)
    assert isinstance(error, StagingError)
    assert "convoy site login agh" in error.message


def known(tmp_path: Path, line: str) -> Side:
    """A site of which this machine knows that line."""
    (tmp_path / "known_hosts").write_text(line)
    (tmp_path / "config").write_text("Host alias\n  HostName real.example\n  User someone\n")
    door = {"host": "alias", "config_file": str(tmp_path / "config"), "known_hosts": str(tmp_path / "known_hosts")}
    return Side(site="agh", door=door)


def test_a_peer_is_told_of_by_its_real_address_and_the_key_that_is_trusted_here(tmp_path: Path) -> None:
    """Another site knows nothing of our aliases."""
    peer = find_peer(known(tmp_path, f"real.example,other ssh-ed25519 {KEY} comment here\n"))
    assert (peer.address, peer.port, peer.user) == ("real.example", "22", "someone")
    assert peer.known_hosts == f"real.example ssh-ed25519 {KEY}\n"


def test_an_authority_that_is_trusted_here_is_passed_on(tmp_path: Path) -> None:
    """Sites that change their keys have one."""
    peer = find_peer(known(tmp_path, f"@cert-authority *.example ssh-ed25519 {KEY}\n"))
    assert peer.known_hosts == f"@cert-authority real.example ssh-ed25519 {KEY}\n"


def test_a_peer_without_a_key_that_is_trusted_here_is_refused(tmp_path: Path) -> None:
    """Nobody trusts at first sight on behalf of another."""
    with pytest.raises(StagingError, match=r"agh: no host key of real\.example"):
        find_peer(known(tmp_path, f"elsewhere ssh-ed25519 {KEY}\n"))


def test_logins_are_kept_in_a_folder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches the socket is logged in."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path)) if len(str(tmp_path)) <= 40 else None
    folder = _folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(str(folder)) + 17 + 17 < 104


def test_a_folder_that_others_can_read_holds_no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody may have made it first."""
    monkeypatch.setattr("adapters._openssh.logins._LONGEST_PATH", 200)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    _folder().chmod(0o755)
    with pytest.raises(StagingError, match="must be a folder of yours"):
        _folder()


def test_where_a_person_could_log_in_the_transfer_waits() -> None:
    """As a run does for its jobs."""
    error = login_error("agh", "alice@h: Permission denied (publickey,keyboard-interactive).", 255)
    assert isinstance(error, LoginNeededError)
    assert "convoy site login agh" in str(error)
