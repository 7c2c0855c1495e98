"""Two ways to say a command: as a process of its own, and, where only the answer matters, in this one."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.faces.cli.main import main
from tests.acceptance.conftest import SITES

HELLO = """\
name: hello
parameters: {word: {type: string, default: hello}}
steps:
  greet:
    scatter: {n: {range: 2}}
    command: "echo {{params.word}} {{with.n}} | tee greeting.txt; echo to-stderr >&2"
    outputs: {greeting: greeting.txt}
    at: agh
  gather:
    command: "cat {{inputs.greetings}} > all.txt"
    in: {greetings: greet.greeting}
    outputs: {all: all.txt}
    at: lrz
outputs: {all: gather.all}
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document that it has to be."""
        return json.loads(self.out)


Tell = Callable[..., Said]


@pytest.fixture
def tell(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Tell]:
    """Says `convoy ARGUMENTS` in this process: the same code, without a second of imports each time."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(home.parent)
    before = signal.getsignal(signal.SIGTERM)

    def say(*words: object) -> Said:
        with pytest.raises(SystemExit) as end:
            main(["--home", str(home), *map(str, words)])
        out, err = capfd.readouterr()
        return Said(code=int(end.value.code or 0), out=out, err=err)

    yield say
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `hello` was run, and a dataset added, once for all tests of a file."""
    folder = tmp_path_factory.mktemp("finished")
    home = folder / "home"
    home.mkdir()
    (home / "sites.yaml").write_text(SITES)
    (folder / "hello.yaml").write_text(HELLO)
    for words in (
        ["run", str(folder / "hello.yaml"), "--no-report"],
        ["data", "add", "study", str(folder / "hello.yaml")],
    ):
        with pytest.raises(SystemExit) as end:
            main(["--home", str(home), "--quiet", *words])
        assert not end.value.code
    return home


@pytest.fixture
def home_copy(finished: Path, home: Path) -> Path:
    """The finished home's database in this test's own home."""
    for path in finished.glob("convoy.db*"):
        shutil.copy(path, home / path.name)
    return home
