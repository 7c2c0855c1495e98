"""How the process ends: at once, but never before its words are out."""

import os
import subprocess
import sys

PROGRAM = [sys.executable, "-m", "orchestrator.faces.cli"]


def test_words_and_exit_code_arrive_in_a_file(tmp_path):
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        code = subprocess.call(
            [*PROGRAM, "--home", str(tmp_path / "home"), "site", "show", "nowhere"], stdout=out, stderr=err
        )
    assert code == 3
    assert "there is no site 'nowhere'" in (tmp_path / "err").read_text()
    with (tmp_path / "out").open("w") as out:
        assert subprocess.call([*PROGRAM, "--version"], stdout=out) == 0
    assert (tmp_path / "out").read_text().startswith("convoy ")


def test_a_reader_who_has_gone_away_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        done = subprocess.run([*PROGRAM, "schema"], check=False, stdout=nobody, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_a_closed_output_does_not_change_the_exit_code(tmp_path):
    words = [*PROGRAM, "--home", str(tmp_path / "home"), "site", "show", "nowhere"]
    shell = 'exec "$@" >&-'
    assert subprocess.run(["sh", "-c", shell, "sh", *words], check=False, capture_output=True).returncode == 3
