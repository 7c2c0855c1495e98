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


def test_a_terminal_that_knows_few_signs_gets_the_words(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    sites = tmp_path / "sites.yaml"
    sites.write_text("sites: {agh: {workdir: x, description: Universitätsklinikum}}\n", encoding="utf-8")
    shown = [*PROGRAM, "--home", str(tmp_path / "home"), "--sites", str(sites), "site", "ls"]
    assert b"Universit?tsklinikum" in subprocess.run(shown, check=True, capture_output=True, env=environment).stdout
    document = subprocess.run([*shown, "--json"], check=True, capture_output=True, env=environment).stdout
    assert "Universitätsklinikum" in document.decode("utf-8")


def test_a_folder_that_was_removed_is_told(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f'rmdir {gone}; exec "$@"'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVOY_")}
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *PROGRAM, "ls"], check=False, capture_output=True, text=True, cwd=gone,
        env={**environment, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "convoy: error: the folder that you work in was removed; go to another, or name a --home\n"
