"""From a workflow file to a plan."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metadata.errors import InvalidInputError, InvalidWorkflowError, MiddlewareError, NotFoundError, SourcePosition
from orchestrator.bindings import Request, workflow_values
from orchestrator.checks import Surroundings, check, named_sources
from orchestrator.documents import Document, Problem, did_you_mean
from orchestrator.images import DATASET, ImageRecord, chosen
from orchestrator.layers import Layer, code_digest, load_layer
from orchestrator.operations.inputs import Given, find_files, given_values, type_of
from orchestrator.operations.workspace import Workspace
from orchestrator.planner import Knowledge
from orchestrator.planner import plan as make_plan
from orchestrator.plans import Plan, PlannedFile, load_plan
from orchestrator.references import parse_reference
from orchestrator.transforms import with_transforms
from orchestrator.workflows import FileType, Workflow, WorkflowInput, load_workflow
from staging.locations import DATASET_SCHEME, is_dataset


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A workflow in which nothing is wrong as far as can be told without touching data."""

    workflow: Workflow
    document: Document
    layers: Mapping[str, Layer]
    code_digests: Mapping[str, str]
    given: Given
    """The inputs that the caller named; the file names the rest."""
    values: Mapping[str, list[str]]
    parameters: Mapping[str, Any]


def plan(
    workspace: Workspace,
    workflow_file: Path,
    *,
    inputs: Given | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Plan:
    """What a run of the workflow would do: where each step runs, what moves, and how long that takes.

    Args:
        workspace: The home with its sites and catalogue.
        workflow_file: A YAML file.
        inputs: Input name -> path, `dataset://...`, or a list of these; goes before what the file says.
        parameters: Parameter name -> value; goes before what the file says.

    Raises:
        InvalidWorkflowError: The file is wrong; every fault is told with its line.
        NotFoundError: The file or some data is not there.
        IntegrityError: Some data is no longer what the catalogue says.
        PolicyError: Restricted data would have to move.
        PlanningError: No site fits a step.
    """
    checked = _checked(workspace, workflow_file, inputs or {}, parameters or {})
    files = {name: _files(workspace, checked, name) for name in checked.workflow.inputs} | _literal_files(
        workspace, checked
    )
    request = Request(
        workflow=checked.workflow,
        layers=checked.layers,
        inputs=files,
        parameters=checked.parameters,
        code_digests=checked.code_digests,
        document=checked.document.content,
    )
    images = _images(workspace, checked)
    return make_plan(request, knowledge(workspace, checked.workflow.name, files, images=images))


def saved_plan(workspace: Workspace, plan_file: Path) -> Plan:
    """A plan that was saved, if it can still be carried out exactly.

    Raises InvalidInputError when the file is no plan or names sites that are gone, NotFoundError or IntegrityError
    when data are gone or changed since.
    """
    saved = load_plan(plan_file)
    for step in saved.steps:
        if not step.skipped:
            workspace.site(step.site)
    wanted = {file.sha256: file for files in saved.inputs.values() for file in files}
    wanted |= {step.image_file.sha256: step.image_file for step in saved.steps if step.image_file}
    copies = workspace.catalogue.replicas(wanted)
    missing = [wanted[sha256].origin for sha256, found in copies.items() if not found]
    if missing:
        raise NotFoundError(f"{plan_file}: these inputs lie nowhere any more: {', '.join(missing)}; make a new plan")
    for file in wanted.values():
        if is_dataset(file.origin):
            find_files(workspace, WorkflowInput(), [file.origin])
    return saved


def check_workflow(
    workspace: Workspace,
    workflow_file: Path,
    *,
    inputs: Given | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Workflow:
    """The workflow, if nothing is wrong in it as far as can be told without touching data."""
    return _checked(workspace, workflow_file, inputs or {}, parameters or {}).workflow


def _checked(workspace: Workspace, path: Path, inputs: Given, parameters: Mapping[str, Any]) -> _Checked:
    authored, document = load_workflow(path)
    _refuse_unknown("input", inputs, authored.inputs, elsewhere=("parameter", "--param", authored.parameters))
    _refuse_unknown("parameter", parameters, authored.parameters, elsewhere=("input", "--input", authored.inputs))
    values, unset = given_values(authored, inputs)
    input_types = {name: type_of(row, values[name]) for name, row in authored.inputs.items()}
    workflow, unfit = with_transforms(
        authored, find_layer=lambda name: load_layer(name)[0], types=_types(authored, input_types)
    )
    layers, digests, problems = _layers(workflow)
    settled = workflow_values(workflow, parameters)
    around = Surroundings(
        workflow=workflow,
        layers=layers,
        input_types=input_types,
        sites=workspace.site_file.sites,
        parameters=settled,
    )
    document.refuse([*unfit, *problems, *unset, *check(around)], InvalidWorkflowError)
    return _Checked(
        workflow=workflow,
        document=document,
        layers=layers,
        code_digests=digests,
        given=inputs,
        values=values,
        parameters=settled,
    )


def _types(workflow: Workflow, input_types: Mapping[str, FileType]) -> dict[str, FileType]:
    """What `inputs.NAME`, and data that steps name themselves, stand for."""
    texts = {text for step in workflow.steps.values() for text in named_sources(step) if is_dataset(text)}
    literal = {text: type_of(WorkflowInput(), [text]) for text in texts}
    return literal | {f"inputs.{name}": found for name, found in input_types.items()}


def _refuse_unknown(
    kind: str, given: Mapping[str, Any], known: Mapping[str, Any], *, elsewhere: tuple[str, str, Mapping[str, Any]]
) -> None:
    other, option, others = elsewhere
    for name in given:
        if name not in known:
            meant = f"; it is a {other}: {option} {name}=..." if name in others else did_you_mean(name, known)
            raise InvalidInputError(f"the workflow has no {kind} {name!r}{meant}")


def _layers(workflow: Workflow) -> tuple[dict[str, Layer], dict[str, str], list[Problem]]:
    layers: dict[str, Layer] = {}
    digests: dict[str, str] = {}
    problems = []
    for name, step in workflow.steps.items():
        if step.usecase is None:
            continue
        try:
            layers[step.usecase], usecase = load_layer(step.usecase)
            digests[usecase.name] = digests.get(usecase.name) or code_digest(usecase.folder)
        except MiddlewareError as error:
            problems.append(Problem(place=("steps", name, "usecase"), message=error.message))
    return layers, digests, problems


def _files(workspace: Workspace, checked: _Checked, name: str) -> tuple[PlannedFile, ...]:
    """An input's files; what is wrong with them is told with the place of whoever named them."""
    where = f"the input {name}" if name in checked.given else checked.document.position(("inputs", name))
    return _located(workspace, checked.workflow.inputs[name], checked.values[name], where)


def _literal_files(workspace: Workspace, checked: _Checked) -> dict[str, tuple[PlannedFile, ...]]:
    """The data that steps name themselves as `dataset://...`."""
    found = {}
    for name, step in checked.workflow.steps.items():
        for text in named_sources(step):
            if parse_reference(text) is None and is_dataset(text):
                where = checked.document.position(("steps", name))
                found[text] = _located(workspace, WorkflowInput(), [text], where)
    return found


def _located(
    workspace: Workspace, declared: WorkflowInput, values: list[str], where: SourcePosition | str
) -> tuple[PlannedFile, ...]:
    try:
        return find_files(workspace, declared, values)
    except MiddlewareError as error:
        error.args = (f"{where}: {error.message}",)
        error.message = error.args[0]
        raise


def _images(workspace: Workspace, checked: _Checked) -> dict[str, PlannedFile]:
    """The SIF of each image that a step names; names that mean none yet are left out."""
    wanted = {step.image for step in checked.workflow.steps.values()} | {row.image for row in checked.layers.values()}
    wanted -= {None}
    if not wanted:
        return {}
    from orchestrator.operations.images import known_images  # noqa: PLC0415 - knows much that a run without needs not

    known, found = known_images(workspace), {}
    for name in wanted:
        with suppress(NotFoundError, InvalidInputError):
            found[str(name)] = planned_image(chosen(str(name), known))
    return found


def planned_image(image: ImageRecord) -> PlannedFile:
    """The image as a file that a step needs."""
    origin = f"{DATASET_SCHEME}{DATASET}/{image.path}"
    return PlannedFile(name=f"{image.name}.sif", sha256=image.sha256, size_bytes=image.size_bytes, origin=origin)


def knowledge(
    workspace: Workspace,
    workflow_name: str,
    files: Mapping[str, tuple[PlannedFile, ...]],
    *,
    images: Mapping[str, PlannedFile] | None = None,
) -> Knowledge:
    """What is known of data, sites, links and images now."""
    timings = workspace.timings
    hashes = {file.sha256 for some in files.values() for file in some}
    hashes |= {file.sha256 for file in (images or {}).values()}
    copies = workspace.catalogue.replicas(hashes) if hashes else {}
    sizes = {key: row for key, row in timings.output_sizes().items() if key[0] == workflow_name}
    return Knowledge(
        sites=workspace.site_file.sites,
        find_routes=lambda: workspace.routes,
        replicas={
            sha256: frozenset(copy.site for copy in rows if copy.site in workspace.storages)
            for sha256, rows in copies.items()
        },
        policies=workspace.catalogue.policies(hashes) if hashes else {},
        task_seconds={(step, site): s for (run, step, site), s in timings.durations().items() if run == workflow_name},
        queue_waits=timings.queue_waits(),
        images=images or {},
        output_bytes={(key[1], output): size for key, row in sizes.items() for output, size in row.items()},
    )
