"""Small workflows, sites and plans for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import InvalidWorkflowError
from orchestrator.bindings import Request, workflow_values
from orchestrator.checks import Surroundings, check
from orchestrator.documents import Document, parse_document, validated
from orchestrator.jobs import JobSpec, Token
from orchestrator.layers import Layer
from orchestrator.planner import Knowledge, plan
from orchestrator.plans import Plan, PlannedFile, PlannedStep
from orchestrator.sites import Site
from orchestrator.workflows import FileType, Workflow
from staging.ports import Capabilities, Direction, Endpoint
from staging.routes import Routes

EXTRACT = Layer.model_validate({
    "summary": "cuts patches",
    "command": ["python", "-m", "usecases.toy"],
    "inputs": {
        "slide": {"type": "file"},
        "annotation": {"type": "file", "optional": True, "option": "--xml"},
        "masks": {"type": "file[]", "optional": True},
    },
    "parameters": {
        "seed": {"type": "integer", "default": 7},
        "sampling": {"type": "string", "default": "random", "choices": ["random", "grid"]},
        "fast": {"type": "boolean", "default": False, "option": "--quick"},
        "level": {"type": "number", "minimum": 0, "maximum": 9},
    },
    "outputs": {"patches": {"path": "patches.h5"}, "pictures": {"path": "*.png", "type": "file[]"}},
})  # fmt: skip
TRAIN = Layer.model_validate({
    "summary": "trains with several processes", "command": ["train"], "launcher": ["run", "-n", "{{resources.processes}}"],
    "outputs": {"weights": {"path": "weights.h5"}},
})  # fmt: skip
LAYERS = {"toy/extract": EXTRACT, "toy/train": TRAIN}


def workflow_of(text: str) -> tuple[Workflow, Document]:
    """The workflow that `text` says; a name is given to it."""
    document = parse_document(f"name: toy\n{text}", file="w.yaml", error=InvalidWorkflowError)
    return validated(Workflow, document, error=InvalidWorkflowError), document


def problems_of(
    text: str,
    *,
    sites: Sequence[str] = ("agh", "lrz"),
    types: Mapping[str, FileType] | None = None,
    given: Mapping[str, Any] | None = None,
) -> list[str]:
    """What `check` finds, as `line: message`. Inputs are lists of files where `types` says nothing."""
    workflow, document = workflow_of(text)
    around = Surroundings(
        workflow=workflow,
        layers=LAYERS,
        input_types=dict.fromkeys(workflow.inputs, FileType.FILES) | dict(types or {}),
        sites=sites,
        parameters=workflow_values(workflow, given or {}),
    )
    return [f"{document.position(problem.place).line}: {problem.message}" for problem in check(around)]


def file(name: str, size_bytes: int = 1000) -> PlannedFile:
    """A file whose hash is that of its name."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return PlannedFile(name=name, sha256=digest, size_bytes=size_bytes, origin=f"dataset://toy/{name}")


def value(name: str) -> dict[str, Any]:
    """A file as tasks know it."""
    known = file(name)
    return {"name": known.name, "sha256": known.sha256, "size_bytes": known.size_bytes}


def site(**facts: Any) -> Site:
    """An embedded site."""
    return Site.model_validate({"workdir": "/w", "slots": {"cpus": 4, "memory": "8GiB"}} | facts)


def knowledge(sites: Mapping[str, Site], **facts: Any) -> Knowledge:
    """What the planner knows: every place is reached by one mover."""
    places = [*sites, "here"]
    routes = Routes(
        endpoints={name: Endpoint(site=name, doors={"file": {}}) for name in places},
        movers={"posix": Capabilities(schemes=frozenset({"file"}), directions=frozenset({Direction.LOCAL}))},
        **{name: facts.pop(name) for name in ("declared", "history") if name in facts},
    )
    return Knowledge(sites=sites, find_routes=lambda: routes, **facts)


def request_of(text: str, inputs: Mapping[str, Sequence[PlannedFile]] | None = None, **given: Any) -> Request:
    """A request for the workflow in `text`."""
    workflow, document = workflow_of(text)
    return Request(
        workflow=workflow,
        layers=LAYERS,
        inputs={name: tuple(files) for name, files in (inputs or {}).items()},
        parameters=workflow_values(workflow, given),
        document=document.content,
    )


def plan_of(
    text: str, known: Knowledge, inputs: Mapping[str, Sequence[PlannedFile]] | None = None, **given: Any
) -> Plan:
    """The plan of the workflow in `text`."""
    return plan(request_of(text, inputs, **given), known)


def step_of(text: str, inputs: Mapping[str, Sequence[PlannedFile]] | None = None, **given: Any) -> PlannedStep:
    """The only step of a plan at one site."""
    known = knowledge(
        {"agh": site(labels=["gpu"])},
        replicas={f.sha256: frozenset({"agh"}) for fs in (inputs or {}).values() for f in fs},
    )
    return plan_of(text, known, inputs, **given).steps[-1]


def job(directory: Any, *argv: str, token: str = "run.step.0.1", **facts: Any) -> JobSpec:
    """A job that runs `argv` in a directory."""
    folder = PurePosixPath(directory)
    return JobSpec(
        token=Token(token),
        executable=argv[0],
        arguments=argv[1:],
        directory=folder,
        stdout_path=folder / "stdout.txt",
        stderr_path=folder / "stderr.txt",
        **facts,
    )
