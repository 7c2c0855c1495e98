"""What was to be done: the workflow, its steps, the tools that they run, and the parameters of each.

A step that never ran is left to the workflow file: the profile wants every tool of a crate to have been used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metadata.history import RunRecord
from metadata.provenance.graph import Entity, Graph, Reference, reference
from metadata.provenance.names import WORKFLOW, parameter_id, step_id, tool_id

_LANGUAGE = "#convoy-workflow"
_TERMS = "https://w3id.org/ro/terms/workflow-run#"
_KINDS = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}


def describe_workflow(graph: Graph, record: RunRecord, *, carried: Sequence[str]) -> None:
    """Adds the workflow, and the steps in `carried` with all that belongs to them."""
    plan = record.plan
    steps = {step["name"]: step for step in plan["steps"] if step["name"] in carried}
    for step in steps.values():
        _describe_step(graph, step)
    inputs = [_file_parameter(graph, "workflow", "inputs", name, many=True) for name in plan.get("inputs", {})]
    values = [_value_parameter(graph, "workflow", name, value) for name, value in plan.get("parameters", {}).items()]
    outputs = _outputs(graph, plan, steps)
    language = graph.add(
        {"@id": _LANGUAGE, "@type": "ComputerLanguage", "name": "Convoy workflow", "alternateName": "YAML"}
    )
    graph.add({
        "@id": WORKFLOW, "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": plan["name"], "description": plan.get("description"), "encodingFormat": "application/yaml",
        "version": f"plan format {plan.get('version', 1)}",
        "conformsTo": graph.add(_bioschemas("ComputationalWorkflow")), "programmingLanguage": language,
        "input": [*inputs, *values], "output": outputs,
        "step": [reference(step_id(name)) for name in steps], "hasPart": [reference(tool_id(name)) for name in steps],
    })  # fmt: skip
    _connect(graph, plan, steps)


def _describe_step(graph: Graph, step: Mapping[str, Any]) -> None:
    name = step["name"]
    graph.add({
        "@id": step_id(name), "@type": "HowToStep", "name": name, "workExample": reference(tool_id(name)),
    })  # fmt: skip
    inputs = [
        _file_parameter(graph, name, "inputs", key, many=planned["type"] == "file[]", optional=planned["optional"])
        for key, planned in step["inputs"].items()
    ]
    values = [_value_parameter(graph, name, key, value) for key, value in step["parameters"].items()]
    outputs = [
        _file_parameter(graph, name, "outputs", key, many=planned["type"] == "file[]", optional=planned["optional"])
        for key, planned in step["outputs"].items()
    ]
    graph.add({
        "@id": tool_id(name), "@type": "SoftwareApplication", "name": step.get("usecase") or name,
        "description": _command(step["command"]), "softwareVersion": step.get("image_digest") or "unknown",
        "input": [*inputs, *values], "output": outputs,
    })  # fmt: skip


def _command(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else " ".join(command)


def _file_parameter(
    graph: Graph, owner: str, kind: str, name: str, *, many: bool = False, optional: bool = False
) -> Reference:
    return graph.add({
        "@id": parameter_id(owner, kind, name), "@type": "FormalParameter", "name": name, "additionalType": "File",
        "multipleValues": str(many), "valueRequired": str(not optional),
        "conformsTo": graph.add(_bioschemas("FormalParameter")),
    })  # fmt: skip


def _value_parameter(graph: Graph, owner: str, name: str, value: Any) -> Reference:
    sample = value[0] if isinstance(value, list) and value else value
    return graph.add({
        "@id": parameter_id(owner, "parameters", name), "@type": "FormalParameter", "name": name,
        "additionalType": _KINDS.get(type(sample), "Text"), "multipleValues": str(isinstance(value, list)),
        "conformsTo": graph.add(_bioschemas("FormalParameter")),
    })  # fmt: skip


def _bioschemas(kind: str) -> Entity:
    identifier = f"https://bioschemas.org/profiles/{kind}/1.0-RELEASE"
    return {
        "@id": identifier,
        "@type": ["CreativeWork", "Profile"],
        "name": f"Bioschemas {kind}",
        "version": "1.0-RELEASE",
    }


def _outputs(graph: Graph, plan: Mapping[str, Any], steps: Mapping[str, Any]) -> list[Reference]:
    return [_file_parameter(graph, "workflow", "outputs", name, many=True) for name, _ in _made_outputs(plan, steps)]


def _made_outputs(plan: Mapping[str, Any], steps: Mapping[str, Any]) -> Iterable[tuple[str, tuple[str, str]]]:
    """The workflow's outputs whose step ran: their name, and the step with its output."""
    for name, source in plan.get("outputs", {}).items():
        step, _, output = source.partition(".")
        if step in steps:
            yield name, (step, output)


def _connect(graph: Graph, plan: Mapping[str, Any], steps: Mapping[str, Any]) -> None:
    """Says which parameter feeds which. As in CWL, the receiver holds the connection."""
    for step in steps.values():
        for name, planned in step["inputs"].items():
            target = parameter_id(step["name"], "inputs", name)
            for source in _sources(plan, planned, steps):
                _connection(graph, step_id(step["name"]), source=source, target=target)
    for name, (maker, output) in _made_outputs(plan, steps):
        source = parameter_id(maker, "outputs", output)
        _connection(graph, WORKFLOW, source=source, target=parameter_id("workflow", "outputs", name))


def _sources(plan: Mapping[str, Any], planned: Mapping[str, Any], steps: Mapping[str, Any]) -> Iterable[str]:
    for producer in planned["producers"]:
        step, _, output = producer.partition(".")
        if step in steps:
            yield parameter_id(step, "outputs", output)
    wanted = {file["sha256"] for file in planned["files"]}
    for name, files in plan.get("inputs", {}).items():
        if wanted & {file["sha256"] for file in files}:
            yield parameter_id("workflow", "inputs", name)


def _connection(graph: Graph, holder: str, *, source: str, target: str) -> None:
    identifier = f"#connection/{source.removeprefix('#parameter/')}--{target.removeprefix('#parameter/')}"
    graph.add({
        "@id": identifier, "@type": "ParameterConnection",
        "sourceParameter": reference(source), "targetParameter": reference(target),
    })  # fmt: skip
    graph.link(holder, "connection", identifier)


def describe_image(graph: Graph, step: Mapping[str, Any]) -> Reference | None:
    """Adds the container image of a step; None when the step runs on the host."""
    image = step.get("image")
    if not image:
        return None
    scheme, _, address = image.rpartition("://")
    place, _, tag = address.rpartition(":") if ":" in address.rpartition("/")[2] else (address, "", "")
    registry, _, name = place.partition("/") if scheme == "docker" and "/" in place else ("", "", place)
    return graph.add({
        "@id": f"#image/{step['image_digest'] or image}", "@type": "ContainerImage", "name": name, "tag": tag,
        "registry": registry or "none", "sha256": step["image_digest"].removeprefix("sha256:"),
        "additionalType": reference(_TERMS + ("DockerImage" if scheme == "docker" else "SIFImage")),
    })  # fmt: skip
