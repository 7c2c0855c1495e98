"""Writes the crate of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.rocrate import ROCrate

from metadata.errors import ConflictError, IntegrityError
from metadata.history import RunRecord
from metadata.provenance.actions import Actions, carried_steps
from metadata.provenance.graph import Graph, reference
from metadata.provenance.names import ENGINE, OPERATOR, WORKFLOW, file_names
from metadata.provenance.workflow import describe_workflow

NO_TERMS = "No licence was given. Ask the owner of the data before you use them."
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run#"
# Written into the crate itself, so that a reader needs no context but RO-Crate's own.
_TERMS = {
    word: _RUN_TERMS + word
    for word in (
        "ParameterConnection", "connection", "sourceParameter", "targetParameter", "sha256",
        "ContainerImage", "containerImage", "registry", "tag",
    )
}  # fmt: skip


def write_crate(
    record: RunRecord,
    folder: Path,
    *,
    workflow: str,
    version: str,
    files: Mapping[str, Path] | None = None,
    operator: str = "",
    terms: str = NO_TERMS,
) -> Path:
    """Writes the crate of a run to `folder`, and gives the path of its metadata file.

    Content in `files` is copied into the crate; everything else is named by its dataset or its hash, with its size.

    Args:
        record: The run.
        folder: Made when it does not exist; files of an earlier crate of the run are overwritten.
        workflow: The text of the workflow file, as its author wrote it.
        version: Of Convoy.
        files: sha256 -> a local copy of that content: pictures, tables and other small results.
        operator: Who ran it, for people; empty leaves it out.
        terms: The licence of the crate, as text or URL.

    Raises:
        ConflictError: Nothing of the run was carried out yet, so there is nothing to tell.
        IntegrityError: A local copy is not the content that it stands for.
    """
    carried = carried_steps(record)
    if not carried:
        raise ConflictError(f"nothing of the run {record.id} was carried out yet; export it once a task was submitted")
    copies = _checked(files or {})
    paths = _paths(record, copies)
    graph = Graph()
    _describe_people(graph, version=version, operator=operator, terms=terms)
    describe_workflow(graph, record, carried=carried)
    Actions(graph, record, file_names(record, paths)).describe()
    crate = _crate(record, graph, terms=terms)
    _add_entities(crate, graph, workflow, {paths[sha256]: copies[sha256] for sha256 in paths})
    crate.write(folder)
    return folder / "ro-crate-metadata.json"


def _checked(files: Mapping[str, Path]) -> dict[str, Path]:
    for sha256, path in files.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise IntegrityError(f"{path} is not the content {sha256[:12]}; it would make the crate tell a lie")
    return dict(files)


def _paths(record: RunRecord, copies: Mapping[str, Path]) -> dict[str, str]:
    """sha256 -> where the content lies in the crate."""
    return {
        file.sha256: f"results/{step.name}/{task.position}/{Path(file.name).name}"
        for step in record.steps
        for task in step.tasks
        for output in task.outputs.values()
        for file in output
        if file.sha256 in copies
    }


def _describe_people(graph: Graph, *, version: str, operator: str, terms: str) -> None:
    graph.add({"@id": ENGINE, "@type": "SoftwareApplication", "name": "Convoy", "softwareVersion": version})
    name, _, _ = terms.partition(".")
    graph.add({"@id": _terms_id(terms), "@type": "CreativeWork", "name": name, "description": terms})
    if operator:
        graph.add({"@id": OPERATOR, "@type": "Person", "name": operator})


def _terms_id(terms: str) -> str:
    return terms if terms.startswith("https://") else "#terms"


def _crate(record: RunRecord, graph: Graph, *, terms: str) -> ROCrate:
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms.update(_TERMS)
    crate.metadata["conformsTo"] = [reference("https://w3id.org/ro/crate/1.1"), reference(list(_PROFILES)[-1])]
    crate.name = f"Run {record.id} of {record.name}"
    crate.description = record.plan.get("description") or f"What Convoy did for the workflow {record.name}."
    crate.license = reference(_terms_id(terms))
    if OPERATOR in graph:
        crate.root_dataset["author"] = reference(OPERATOR)
    for identifier, (name, version) in _PROFILES.items():
        graph.add({"@id": identifier, "@type": ["CreativeWork", "Profile"], "name": name, "version": version})
    crate.root_dataset["conformsTo"] = [reference(identifier) for identifier in _PROFILES]
    crate.root_dataset["mainEntity"] = reference(WORKFLOW)
    deeds = [graph.of_type(kind) for kind in ("CreateAction", "OrganizeAction", "TransferAction")]
    crate.root_dataset["mentions"] = [reference(identifier) for kind in deeds for identifier in kind]
    return crate


def _add_entities(crate: ROCrate, graph: Graph, workflow: str, inside: Mapping[str, Path]) -> None:
    """Adds every entity: files as parts of the crate, all else as context."""
    for identifier, entity in graph.entities.items():
        properties = {key: _single(value) for key, value in entity.items() if key != "@id"}
        if identifier == WORKFLOW:
            crate.add(File(crate, StringIO(workflow), WORKFLOW, properties=properties))
        elif entity["@type"] == "File":
            local = inside.get(unquote(identifier))
            source, path = (local, unquote(identifier)) if local else (identifier, None)
            crate.add(File(crate, source, path, properties=properties))
        else:
            crate.add(ContextEntity(crate, identifier, properties=properties))
    about = {"name": "Read me", "about": reference("./"), "encodingFormat": "text/markdown"}
    crate.add(File(crate, StringIO(_read_me(crate)), "README.md", properties=about))


def _single(value: Any) -> Any:
    """RO-Crate wants a list of one written as the one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _read_me(crate: ROCrate) -> str:
    return (
        f"# {crate.name}\n\n{crate.description}\n\n"
        "This folder is an RO-Crate. `ro-crate-metadata.json` says what was run, on which data, where and when, and\n"
        "what came out; `workflow.yaml` is the workflow. Files whose `@id` begins with `dataset://` or `hash://` are\n"
        "not in this folder: they are named by their SHA-256.\n"
    )
