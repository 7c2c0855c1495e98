"""Who may import whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.architecture.test_budgets import ROOT, modules

ALLOWED = {
    "orchestrator.jobs", "orchestrator.ports", "orchestrator.scripts", "orchestrator.receipts", "staging.locations", "staging.logins", "staging.manifest", "staging.ports",
    "metadata.errors",
}  # fmt: skip
"""What adapters may know of the rest of the house."""

OURS = ("adapters", "orchestrator", "staging", "metadata", "usecases")


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who is imported"
            names = [node.module or ""]
        yield from (name for name in names if name.split(".")[0] in OURS)


def adapter_of(module: str) -> str:
    """The adapter that a module belongs to: `adapters.schedulers.slurm`."""
    return ".".join(module.split(".")[:3])


def test_the_contracts_of_the_project_file_are_kept() -> None:
    """Floors, faces above verbs, adapters apart, use cases alone."""
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is not installed")
    answer = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def foreign(path: Path) -> set[str]:
    """What an adapter's module imports of others. What begins with `_` is its kind's own, or all adapters'."""
    mine = adapter_of(".".join(path.with_suffix("").parts))
    kind = ".".join(mine.split(".")[:2])
    names = imported(ROOT / path)
    return {
        name
        for name in names
        if name not in {*ALLOWED, kind}
        and adapter_of(name) != mine
        and not name.startswith((f"{kind}._", "adapters._"))
    }


def test_an_adapter_knows_ports_and_words_and_no_other_adapter() -> None:
    """One file is one outside system."""
    assert {str(path): names for path in modules("adapters") if (names := foreign(path))} == {}


def test_a_use_case_knows_only_itself() -> None:
    """And what use cases share. It runs without the platform, inside an image and out of it."""
    found = {str(path): set(imported(ROOT / path)) for path in modules("usecases")}
    allowed = {path: (".".join(Path(path).parts[:2]), "usecases.console") for path in found}
    assert {
        path: rest
        for path, names in found.items()
        if (rest := {n for n in names if not n.startswith(allowed[path]) and n != "usecases"})
    } == {}


def test_importing_the_command_line_brings_no_heavy_library() -> None:
    """Every `convoy ls` would wait for it."""
    script = "import sys, orchestrator.faces.cli.main; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert (
        loaded & {"tensorflow", "numpy", "scipy", "h5py", "matplotlib", "paramiko", "fabric", "alembic", "rocrate"}
        == set()
    )


CALL = """
import sys
from orchestrator.faces.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(sys.modules))
"""


def loaded_by(code: str, *words: object, **environment: str) -> set[str]:
    """What a program has loaded when it ends; it says so in its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | environment,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


def packages(modules: Iterable[str]) -> set[str]:
    """The outermost name of each."""
    return {name.partition(".")[0] for name in modules}


def test_a_run_imports_only_what_a_run_needs(tmp_path: Path) -> None:
    """For a small run the start is most of the time, and each of these would add a good part to it."""
    (tmp_path / "workflow.yaml").write_text('{name: small, steps: {a: {command: ["true"]}}}')
    loaded = loaded_by(CALL, "--home", tmp_path / "home", "run", "--no-report", tmp_path / "workflow.yaml")
    heavy = {"sqlalchemy", "sqlmodel", "alembic", "fabric", "paramiko", "rich", "jinja2", "rocrate", "numpy"}
    assert packages(loaded) & heavy == set()
    floors = {name for name in loaded if name.startswith(("metadata.", "staging.", "adapters.", "orchestrator."))}
    unneeded = {"metadata.database", "metadata.catalogue", "metadata.history", "orchestrator.report"}
    assert unneeded & floors == set()
    kinds = {name.split(".")[1] for name in floors if name.startswith("adapters.")}
    assert kinds == {"containers", "executors", "runners", "storages"}, "no data move here"
    verbs = {name.rpartition(".")[2] for name in loaded if name.startswith("orchestrator.operations.")}
    assert verbs == {"planning", "inputs", "digests", "workspace", "runs"}
    faces = {"datasets", "images", "jobs", "looking", "sites", "starting", "usecases"}
    assert {f"orchestrator.faces.cli.{name}" for name in faces} & loaded == set()


CONNECTION = {"paramiko", "fabric", "invoke", "cryptography", "nacl", "yaml", "unittest"}
"""What a connection of one's own stands on, and what these bring along."""


def loaded_by_put(folder: Path, *voice: str) -> set[str]:
    """What it takes to bring one small file to an embedded site."""
    (folder / "file").write_text("content")
    home = folder / "home"
    return loaded_by(CALL, *voice, "--home", home, "data", "put", folder / "file", "small", "--site", "local")


def test_data_that_move_import_only_what_moves_them(tmp_path: Path) -> None:
    """For a small file the start is most of the time."""
    loaded = loaded_by_put(tmp_path, "--json")
    heavy = CONNECTION | {"alembic", "apscheduler", "attr", "fabric", "httpx", "jinja2", "numpy", "rich", "tarfile"}
    assert packages(loaded) & heavy == set()
    floors = {name for name in loaded if name.startswith(("metadata.", "staging.", "adapters.", "orchestrator."))}
    unneeded = {"workflows", "plans", "scripts", "bundles", "command_line", "layers", "images", "planner", "engine"}
    assert {f"orchestrator.{name}" for name in unneeded} & floors == set()
    kinds = {name.split(".")[1] for name in floors if name.startswith("adapters.")}
    assert kinds == {"movers", "runners", "storages", "_openssh"}, "no job runs here"
    verbs = {name.split(".")[2] for name in floors if name.startswith("orchestrator.operations.")}
    assert verbs == {"data", "digests", "workspace"}
    parts = {name.split(".")[3] for name in floors if name.startswith("orchestrator.operations.data.")}
    assert parts == {"adding", "carrying", "errands", "portions", "putting", "selections", "shipping"}
    faces = {name for name in floors if name.startswith(("orchestrator.faces.cli.data.", "orchestrator.faces.cli.t"))}
    names = {name.removeprefix("orchestrator.faces.cli.") for name in faces}
    assert names == {"data.moving", "data.words", "tables", "terminal"}


def test_a_look_at_the_catalogue_opens_no_site(tmp_path: Path) -> None:
    loaded = loaded_by(CALL, "--json", "--home", tmp_path / "home", "data", "ls")
    assert {name for name in loaded if name.startswith("adapters.")} == set()
    assert packages(loaded) & {*CONNECTION, "attr", "rich", "tarfile"} == set()
    assert {"orchestrator.faces.cli.data.moving", "orchestrator.workflows"} & loaded == set()


def test_an_answer_that_is_drawn_loads_its_own_table_and_no_bar(tmp_path: Path) -> None:
    """A bar is for a person who looks on."""
    loaded = loaded_by_put(tmp_path)
    assert {"rich.progress", "rich.progress_bar", "rich.live"} & loaded == set()
    tables = {name for name in loaded if name.startswith("orchestrator.faces.cli.tables.")}
    assert {name.rpartition(".")[2] for name in tables} == {"places", "style"}


def test_a_runner_that_asks_nothing_imports_no_connection() -> None:
    code = """
import sys
from adapters.runners.ssh import SshRunner
SshRunner(site="agh", options={"host": "agh"}).close()
print(*sys.modules)
"""
    assert packages(loaded_by(code)) & CONNECTION == set()


def test_commands_by_a_login_that_a_person_opened_import_no_connection(tmp_path: Path) -> None:
    """OpenSSH does all of it. It is a script here, which runs the line at this machine."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor line do :; done\nexec /bin/sh -c "$line"\n')
    ssh.chmod(0o700)
    code = """
import socket, sys
from adapters.runners.ssh import SshRunner
from staging.logins import login_socket, make_login_folder
options = {"host": "agh"}
make_login_folder()
with socket.socket(socket.AF_UNIX) as login:
    login.bind(str(login_socket(options)))
    login.listen()
    assert SshRunner(site="agh", options=options).run(("echo", "there")).stdout == "there\\n"
print(*sys.modules)
"""
    path = f"{tmp_path}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path has to be
        loaded = loaded_by(code, PATH=path, XDG_RUNTIME_DIR=short)
    assert packages(loaded) & CONNECTION == set()


CATALOGUE = """
import sys
from pathlib import Path
from metadata.records import Measurement, NewFile, ReplicaRecord
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import find_settings
sha256 = "0" * 64
with Workspace(find_settings(home=Path(sys.argv[1]))) as workspace:
    catalogue, retention = workspace.catalogue, workspace.retention
    catalogue.add_files("slides", [NewFile(path="a/1", size_bytes=1, sha256=sha256)])
    catalogue.add_replicas([ReplicaRecord(sha256=sha256, size_bytes=1, site="here", path="/1", verified_at=1.0)])
    catalogue.set_attributes("slides", {"mpp": 0.25}, path="a/1")
    way = {"source_site": "here", "destination_site": "local", "mover": "scp"}
    catalogue.add_measurement(Measurement(**way, size_bytes=1, seconds=1.0, measured_at=1.0))
    catalogue.replicas([sha256]), catalogue.policies([sha256]), catalogue.measurements()
    catalogue.datasets(), catalogue.dataset("slides"), catalogue.files("slides"), catalogue.find(["mpp=0.25"])
    catalogue.remove_replicas("here", [("/1", sha256)])
    retention.note_uses([(sha256, "here")]), retention.active_runs(), retention.pinned_sites([sha256])
print(*sys.modules)
"""


PUT = """
import sys
from orchestrator.faces.cli.main import main
try:
    main(["--home", sys.argv[1], "data", "put", sys.argv[0], "slides", "--site", "local"])
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules)
"""


@pytest.mark.parametrize("script", [CATALOGUE, PUT], ids=["catalogue", "put"])
def test_verbs_that_move_data_need_no_sqlalchemy(script: str, tmp_path: Path) -> None:
    """It takes longer to load than a thousand small files to be told of."""
    program = tmp_path / "program.py"
    program.write_text(script)
    done = subprocess.run(
        [sys.executable, program, tmp_path / "home"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    packages = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert packages & {"sqlalchemy", "sqlmodel", "alembic"} == set()


def test_a_clock_that_was_never_started_imports_no_scheduler() -> None:
    """A run that is over within a second does without."""
    script = """
import sys
from orchestrator.engine.pulse import Pulse
pulse = Pulse()
pulse.every("beat", 10.0, print)
pulse.adapt("ask", print, changed=True)
pulse.stop()
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "apscheduler" not in done.stdout.split()
