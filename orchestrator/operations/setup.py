"""A new home, and the schemas of the files that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metadata.errors import ConflictError, NotFoundError
from orchestrator.documents import did_you_mean
from orchestrator.layers import UseCase
from orchestrator.plans import Plan
from orchestrator.sites import SiteFile
from orchestrator.workflows import Workflow

_SCHEMAS: dict[str, Any] = {"workflow": Workflow, "sites": SiteFile, "usecase": UseCase, "plan": Plan}

_SITES = """\
# Three practice sites, all on this machine. `convoy site test NAME` tries one; `convoy schema sites` says what else
# may stand here.
sites:
  agh:
    description: many CPU cores
    labels: [cpu]
    workdir: sites/agh
    slots: {cpus: 2, memory: 4GiB}
  lrz:
    description: the GPU site
    labels: [cpu, gpu]
    workdir: sites/lrz
    slots: {cpus: 2, memory: 8GiB, gpus: 1}
    speed: 2.0
  uva:
    description: near the pathologists
    labels: [cpu]
    workdir: sites/uva
    slots: {cpus: 2, memory: 4GiB}

# What is known of the links before anything was measured.
links:
  - {from: agh, to: lrz, rate: 400 Mbit/s}
  - {from: lrz, to: uva, rate: 400 Mbit/s}
"""

_WORKFLOW = """\
# Try it: convoy plan hello.yaml, then convoy run hello.yaml
name: hello
parameters:
  names: {type: string, default: world}
steps:
  greet:
    scatter: {number: {range: 3}}
    command: "echo Hello {{params.names}}, from task {{with.number}} > greeting.txt"
    outputs: {greeting: greeting.txt}
    at: agh
  gather:
    command: "cat {{inputs.greetings}} > all.txt"
    in: {greetings: greet.greeting}
    outputs: {all: all.txt}
    at: {labels: [gpu]}
outputs: {all: gather.all}
"""


def init(home: Path) -> list[Path]:
    """A home with a site file, and a first workflow beside it. Returns the files that were written.

    Raises ConflictError when the home has a site file already, or something that is no folder is in its way.
    """
    sites, workflow = home / "sites.yaml", home.parent / "hello.yaml"
    if sites.exists():
        raise ConflictError(f"{sites} is there already; remove it to begin anew, or edit it")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConflictError(f"{error.filename} is no folder; move it away, or make the home elsewhere") from error
    written = []
    for path, text in ((sites, _SITES), (workflow, _WORKFLOW)):
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return written


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of workflow files, site files, use-case files or plans. Raises NotFoundError."""
    if kind not in _SCHEMAS:
        raise NotFoundError(f"there is no schema {kind!r}{did_you_mean(kind, _SCHEMAS)}")
    document: dict[str, Any] = _SCHEMAS[kind].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
