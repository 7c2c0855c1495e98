"""What a site file and an SSH configuration say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.runners.local import LocalRunner
from adapters.runners.ssh.client_config import resolve_target
from adapters.runners.ssh.settings import parse_settings
from metadata.errors import InvalidSiteError


def target(tmp_path: Path, text: str, **options: object):
    (tmp_path / "config").write_text(text)
    return resolve_target(parse_settings("agh", {"host": "agh", "config_file": tmp_path / "config", **options}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs 'host'"),
        ({"host": "agh", "prot": 22}, "did you mean 'port'"),
        ({"host": "agh", "port": "ssh"}, "'port' cannot be 'ssh'"),
        ({"host": "agh", "max_sessions": 0}, "more than 0"),
        ({"host": "agh", "connect_timeout_s": None, "zzz": 1}, "there are: config_file"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(InvalidSiteError, match=words):
        parse_settings("agh", options)


def test_a_wrong_option_of_the_local_runner_is_named():
    with pytest.raises(InvalidSiteError, match="did you mean 'directory'"):
        LocalRunner(options={"directry": "/"})


def test_values_are_converted():
    settings = parse_settings("agh", {"host": "agh", "port": "2222", "identity_file": "~/k", "keepalive_s": 5})
    assert (settings.port, settings.identity_files, settings.keepalive_s) == (2222, (Path("~/k").expanduser(),), 5.0)


def test_the_configuration_fills_what_the_site_leaves_out(tmp_path):
    text = "Host agh\n HostName login.example.org\n Port 2200\n User ala\n HostKeyAlias pool\n ProxyJump a,bob@b:22\n"
    found = target(tmp_path, text)
    assert (found.address, found.port, found.user, found.key_name) == ("login.example.org", 2200, "ala", "pool")
    assert found.jumps == ("a", "bob@b:22")


def test_the_site_wins_over_the_configuration(tmp_path):
    found = target(tmp_path, "Host agh\n Port 2200\n User ala\n", port=22, user="ola")
    assert (found.port, found.user, found.key_name) == (22, "ola", "agh")


def test_another_port_is_part_of_the_name_in_known_hosts(tmp_path):
    assert target(tmp_path, "", port=2222).key_name == "[agh]:2222"


def test_a_host_is_not_reached_through_itself(tmp_path):
    assert target(tmp_path, "Host *\n ProxyJump agh\n").jumps == ()


@pytest.mark.parametrize("word", ["ProxyJump", "ProxyCommand"])
def test_none_switches_a_proxy_off(tmp_path, word):
    found = target(tmp_path, f"Host agh\n {word} none\nHost *\n {word} other\n")
    assert (found.jumps, found.proxy_command) == ((), None)


def test_included_files_are_read_and_their_circles_end(tmp_path):
    (tmp_path / "more.conf").write_text(f"Include {tmp_path}/more.conf\nHost agh\n  User ola\n")
    assert target(tmp_path, "Include more*.conf\n").user == "ola"


def test_a_missing_identity_file_is_told(tmp_path):
    with pytest.raises(InvalidSiteError, match="no identity_file"):
        target(tmp_path, "", identity_file="/no/such/key")


def test_a_missing_configuration_is_told(tmp_path):
    with pytest.raises(InvalidSiteError, match="no config_file"):
        resolve_target(parse_settings("agh", {"host": "agh", "config_file": tmp_path / "none"}))


def test_a_broken_configuration_is_told(tmp_path):
    with pytest.raises(InvalidSiteError, match="SSH configuration"):
        target(tmp_path, "Host agh\n  Port\n")
