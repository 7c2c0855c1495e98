"""Use cases: what there is, their demo data, and running them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metadata.errors import NotFoundError, PermanentError
from orchestrator.layers import UseCase, load_usecase, usecase_names


@dataclass(frozen=True, kw_only=True)
class DemoData:
    """What a use case's demo program made."""

    slides: tuple[Path, ...]
    annotations: tuple[Path, ...]


def list_usecases() -> list[UseCase]:
    """The use cases, by name."""
    return [load_usecase(name) for name in usecase_names()]


def show_usecase(name: str) -> UseCase:
    """One use case with its layers. Raises NotFoundError with what was meant."""
    return load_usecase(name)


def usecase_workflow(name: str) -> Path:
    """The workflow that runs a use case's layers one after the other. Raises NotFoundError when it has none."""
    usecase = load_usecase(name)
    if usecase.demo is None:
        raise NotFoundError(f"the use case {name} brings no workflow; write one that names its layers")
    return usecase.folder / usecase.demo.workflow


def make_demo_data(name: str, folder: Path, *, options: Sequence[str] = ()) -> DemoData:
    """The use case's demo data lie in `folder`; what is there already is not made again.

    Raises NotFoundError, or PermanentError with the program's last words.
    """
    usecase = load_usecase(name)
    if usecase.demo is None:
        raise NotFoundError(f"the use case {name} brings no demo data")
    done = folder / ".complete"
    wanted = json.dumps(list(options))
    if not done.exists() or done.read_text() != wanted:
        _make(usecase, folder, options)
        done.write_text(wanted)
    return DemoData(slides=tuple(sorted(folder.glob("*.tif"))), annotations=tuple(sorted(folder.glob("*.xml"))))


def _make(usecase: UseCase, folder: Path, options: Sequence[str]) -> None:
    program, *arguments = usecase.demo.command if usecase.demo else []
    program = sys.executable if program == "python" else program
    argv = [program, *arguments, "--output", str(folder), *options]
    # What it says is no part of our own answer.
    result = subprocess.run(argv, check=False, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace")
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PermanentError(f"making demo data for {usecase.name} failed: {last}", exit_code=result.returncode)
