"""known_hosts files as OpenSSH reads them."""

from __future__ import annotations

import base64

import pytest

from adapters.runners.ssh.known_hosts import HostKey, load_known_keys, parse_known_keys, save_known_key

BLOB = base64.b64encode(b"a key").decode()


@pytest.mark.parametrize(
    ("names", "host", "known"),
    [
        ("agh", "agh", True),
        ("agh,10.0.0.1", "10.0.0.1", True),
        ("agh", "AGH", True),
        ("agh", "lrz", False),
        ("agh", "[agh]:2222", False),
        ("[agh]:2222", "[agh]:2222", True),
        ("[agh]:2222", "a", False),
        ("*.example.org", "login.example.org", True),
        ("*.example.org,!bad.example.org", "bad.example.org", False),
        ("login?", "login1", True),
        ("|1|bm8=|bm8=", "agh", False),
    ],
)
def test_a_line_speaks_of_the_hosts_that_it_names(names, host, known):
    assert bool(list(parse_known_keys(f"{names} ssh-ed25519 {BLOB} comment", host, source="f"))) == known


@pytest.mark.parametrize(
    "line", ["", "# agh ssh-ed25519 x", "agh", "agh ssh-ed25519 %%%", f"@cert-authority agh ssh-rsa {BLOB}"]
)
def test_other_lines_state_no_key(line):
    assert list(parse_known_keys(line, "agh", source="f")) == []


def test_a_revoked_key_is_marked_and_located():
    (entry,) = parse_known_keys(f"\n@revoked agh ssh-ed25519 {BLOB}", "agh", source="file")
    assert (entry.revoked, entry.source) == (True, "file:2")


def test_a_saved_key_is_loaded_again(tmp_path):
    key = HostKey(algorithm="ssh-ed25519", blob=b"a key")
    file = tmp_path / ".ssh" / "known_hosts"
    save_known_key(file, "[agh]:2222", key)
    save_known_key(file, "lrz", key)
    assert [known.key for known in load_known_keys([tmp_path / "missing", file], "[agh]:2222")] == [key]


def test_a_file_without_a_last_newline_keeps_its_last_line(tmp_path):
    file = tmp_path / "known_hosts"
    file.write_text(f"agh ssh-ed25519 {BLOB}")
    save_known_key(file, "lrz", HostKey(algorithm="ssh-ed25519", blob=b"x"))
    assert len(load_known_keys([file], "agh")) == 1
    assert len(load_known_keys([file], "lrz")) == 1


def test_a_fingerprint_is_written_as_openssh_writes_it():
    assert HostKey(algorithm="x", blob=b"").fingerprint == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
