"""Workflow + what is known of data, sites and links -> a Plan. Pure: it asks nobody and changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from metadata.errors import PlanningError, PolicyError, StagingError
from metadata.policy import ANYWHERE, Policy, check_move
from metadata.records import QueueWait
from orchestrator.bindings import Request, bound_step
from orchestrator.checks import step_order
from orchestrator.plans import (
    Candidate,
    Plan,
    PlannedFile,
    PlannedInput,
    PlannedStep,
    PlannedTransfer,
    Prediction,
    result_policy,
)
from orchestrator.quantities import shown_duration, shown_rate, shown_size
from orchestrator.sites import Site
from orchestrator.workflows import FileType, Placement, Resources

if TYPE_CHECKING:
    from staging.routes import Route, Routes

_PACE_S = 5.0
"""An idle site may take so long to start a job: less than that is no queue, and no reason to go elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What the planner may rest its choices on."""

    sites: Mapping[str, Site]
    """Where steps may run, in the order of the site file."""
    find_routes: Callable[[], Routes]
    """Tells the ways for data between them, places that run nothing included; asked once, and where data must move."""
    replicas: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """sha256 -> the sites that have the content."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """By sha256; content that is absent may go anywhere."""
    task_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(step, site) -> median seconds of a task in earlier runs of this workflow."""
    queue_waits: Mapping[str, QueueWait] = field(default_factory=dict)
    """Site -> how long steps waited there before they began."""
    output_bytes: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(step, output) -> median bytes of a task's output in earlier runs."""
    images: Mapping[str, PlannedFile] = field(default_factory=dict)
    """An image's name as steps say it -> its SIF; names that are absent mean nothing yet."""

    @cached_property
    def routes(self) -> Routes:
        """The ways for data."""
        return self.find_routes()


@dataclass(frozen=True, kw_only=True)
class _Datum:
    """Some data that a step needs: a file that exists, or an output that an earlier step will make."""

    key: str
    """The content's hash, or `step.output`."""
    what: str
    size_bytes: int | None
    files: int | None
    sites: frozenset[str]
    """Where it lies for certain when the step begins: the only places to fetch it from."""
    policy: Policy
    brought: frozenset[str] = frozenset()
    """Where this plan brings it for another step, which may come later: it is not moved there twice."""


@dataclass(kw_only=True)
class _Draft:
    """The plan as far as it has come."""

    steps: dict[str, PlannedStep] = field(default_factory=dict)
    transfers: list[PlannedTransfer] = field(default_factory=list)
    produced: dict[str, _Datum] = field(default_factory=dict)
    """By `step.output`."""
    brought: dict[str, frozenset[str]] = field(default_factory=dict)
    """A datum's key -> the sites to which this plan brings it."""


def plan(request: Request, knowledge: Knowledge) -> Plan:
    """The plan that brings each step's results soonest, in the order of the steps, as far as is known.

    Raises PolicyError when restricted data would have to move and PlanningError when no site fits a step; both say
    what each site lacks.
    """
    draft = _Draft()
    for name in step_order(request.workflow):
        step = bound_step(name, request, draft.steps)
        draft.steps[name] = step
        if not step.skipped:
            _settle(step, request.workflow.steps[name].at, knowledge, draft)
    return Plan(
        name=request.workflow.name,
        description=request.workflow.description,
        inputs={name: tuple(files) for name, files in request.inputs.items()},
        parameters=dict(request.parameters),
        steps=tuple(draft.steps.values()),
        transfers=tuple(draft.transfers),
        outputs=dict(request.workflow.outputs),
        workflow=dict(request.document),
    )


def _settle(step: PlannedStep, at: Placement, knowledge: Knowledge, draft: _Draft) -> None:
    """Gives the step its site, and notes what that brings about."""
    needs = _needs(step, knowledge, draft)
    images = {name: _image(step, name, knowledge, draft) for name in knowledge.sites}
    candidates = tuple(_candidate(name, step, at, [*needs, *images[name]], knowledge) for name in knowledge.sites)
    fit = [row for row in candidates if row.seconds is not None]
    if not fit:
        _refuse(step, candidates, needs)
    fit = _nearest(fit, step, at, knowledge, draft)
    chosen = min(fit, key=lambda row: row.seconds or 0.0)
    brought = [*needs, *images[chosen.site]]
    transfers = [move for datum in brought if (move := _transfer(step.name, datum, chosen.site, knowledge))]
    image = knowledge.images[step.image] if step.image and images[chosen.site] else None
    site = knowledge.sites[chosen.site]
    update = {
        "site": chosen.site,
        "reason": _why(chosen, fit, at),
        "runtime": site.container.type,
        "expected_s": _task_seconds(step, chosen.site, knowledge)[0],
        "bundle_s": site.bundle if step.bundle_s is None else step.bundle_s,
        "prediction": _prediction(step, chosen.site, transfers, knowledge),
        "candidates": candidates,
        "image_file": image,
        "image_digest": f"sha256:{image.sha256}" if image else step.image_digest,
    }
    draft.steps[step.name] = step.model_copy(update=update)
    draft.transfers += transfers
    for datum in brought:
        draft.brought[datum.key] = draft.brought.get(datum.key, frozenset()) | {chosen.site}
    _note_outputs(step, chosen.site, needs, knowledge, draft)


def _nearest(
    fit: list[Candidate], step: PlannedStep, at: Placement, knowledge: Knowledge, draft: _Draft
) -> list[Candidate]:
    """Those where the input that the step wants to be near lies already; all when there is none."""
    if at.near not in step.inputs:
        return fit
    data = list(_data_of(step.inputs[at.near], knowledge, draft))
    return [row for row in fit if all(row.site in datum.sites for datum in data)] or fit


def _needs(step: PlannedStep, knowledge: Knowledge, draft: _Draft) -> list[_Datum]:
    data = [datum for source in step.inputs.values() for datum in _data_of(source, knowledge, draft)]
    return list({datum.key: datum for datum in data}.values())


def _data_of(source: PlannedInput, knowledge: Knowledge, draft: _Draft) -> Iterator[_Datum]:
    for file in source.files:
        yield _datum(file, knowledge, draft)
    for producer in source.producers:
        yield replace(draft.produced[producer], brought=draft.brought.get(producer, frozenset()))


def _image(step: PlannedStep, site: str, knowledge: Knowledge, draft: _Draft) -> list[_Datum]:
    """The image that the step needs at a site; nothing where programs run on the host."""
    image = knowledge.images.get(step.image or "")
    if image is None or knowledge.sites[site].container.type == "host":
        return []
    return [_datum(image, knowledge, draft)]


def _datum(file: PlannedFile, knowledge: Knowledge, draft: _Draft) -> _Datum:
    return _Datum(
        key=file.sha256,
        what=file.origin,
        size_bytes=file.size_bytes,
        files=1,
        sites=knowledge.replicas.get(file.sha256, frozenset()),
        policy=knowledge.policies.get(file.sha256, ANYWHERE),
        brought=draft.brought.get(file.sha256, frozenset()),
    )


def _candidate(name: str, step: PlannedStep, at: Placement, needs: Sequence[_Datum], knowledge: Knowledge) -> Candidate:
    reason = _unfit(name, step, at, knowledge) or _forbidden(name, needs)
    if reason:
        return Candidate(site=name, reason=reason)
    try:
        moves = [move for datum in needs if (move := _transfer(step.name, datum, name, knowledge))]
    except StagingError as error:
        return Candidate(site=name, reason=error.message)
    prediction = _prediction(step, name, moves, knowledge)
    moved = sum(move.size_bytes or 0 for move in moves)
    carried = f"{shown_size(moved)} to bring" if moves else "its data are there"
    return Candidate(site=name, seconds=prediction.total_s, reason=f"{carried}; {prediction.basis}")


def _prediction(step: PlannedStep, site: str, moves: Iterable[PlannedTransfer], knowledge: Knowledge) -> Prediction:
    """What the step takes at a site once these data are brought there."""
    queue_s, waits = _queue_seconds(site, knowledge)
    run_s, basis = _run_seconds(step, site, knowledge)
    transfer_s = sum(move.seconds or 0.0 for move in moves)
    return Prediction(transfer_s=transfer_s, queue_s=queue_s, run_s=run_s, basis=f"{basis}; {waits}")


def _unfit(name: str, step: PlannedStep, at: Placement, knowledge: Knowledge) -> str:
    """Why the step cannot run at a site; empty when it can."""
    site = knowledge.sites[name]
    wanted = [at.site] if at.site else at.sites
    if wanted and name not in wanted:
        return f"the workflow wants {' or '.join(wanted)}"
    missing = [label for label in at.labels if label not in site.labels]
    if missing:
        return f"it has no label {', '.join(missing)}"
    if step.image and site.container.type == "host" and not site.allow_host:
        return "it has no container runtime, and its site file does not allow programs on the host"
    if step.image and site.container.type != "host" and step.image not in knowledge.images:
        return f"there is no image {step.image!r} to bring there; make it with: convoy image build, or image import"
    return _too_small(step.resources, site)


def _too_small(wanted: Resources, site: Site) -> str:
    slots = site.slots
    nodes = slots.nodes or (None if site.scheduler else 1)
    if nodes is not None and wanted.nodes > nodes:
        return f"{wanted.nodes} nodes are wanted, it has {nodes}"
    if slots.cpus is not None and (wanted.cpus or wanted.processes) > slots.cpus:
        return f"{wanted.cpus or wanted.processes} CPU cores are wanted, it has {slots.cpus}"
    if slots.memory is not None and (wanted.memory or 0) > slots.memory:
        return f"{shown_size(wanted.memory or 0)} of memory are wanted, it has {shown_size(slots.memory)}"
    if slots.cpus is not None and wanted.gpus > slots.gpus:
        return f"{wanted.gpus} GPUs are wanted, it has {slots.gpus}"
    return ""


def _forbidden(site: str, needs: Iterable[_Datum]) -> str:
    for datum in needs:
        if site not in datum.sites | datum.brought and not datum.policy.allows(site):
            return f"{datum.what} {datum.policy}"
    return ""


def _refuse(step: PlannedStep, candidates: Iterable[Candidate], needs: Sequence[_Datum]) -> NoReturn:
    rows = list(candidates)
    told = "; ".join(f"{row.site}: {row.reason}" for row in rows)
    for row in rows:
        restricted = [datum for datum in needs if row.reason and row.reason == f"{datum.what} {datum.policy}"]
        for datum in restricted:
            try:
                check_move(datum.policy, row.site, what=datum.what)
            except PolicyError as error:
                raise PolicyError(
                    f"step {step.name} cannot be placed: {error.message}. ({told})", site=row.site
                ) from error
    raise PlanningError(f"no site can run the step {step.name}: {told}")


def _transfer(step: str, datum: _Datum, destination: str, knowledge: Knowledge) -> PlannedTransfer | None:
    """The quickest way for a datum to a site; None when it is there. Raises StagingError when it lies nowhere."""
    if destination in datum.sites | datum.brought:
        return None
    ranked = _ranked(datum, destination, knowledge)
    source = min(ranked, key=lambda name: ranked[name][0].seconds)
    route = ranked[source][0]
    return PlannedTransfer(
        step=step,
        what=datum.what,
        files=datum.files,
        size_bytes=datum.size_bytes,
        source=source,
        destination=destination,
        mover=route.way.mover,
        direction=str(route.way.direction),
        streams=route.way.streams,
        credential=str(route.way.credential),
        seconds=route.seconds,
        low_s=route.prediction.low_s if route.measured else None,
        high_s=route.prediction.high_s if route.measured else None,
        reason=f"{shown_rate(route.bytes_per_s)}, {knowledge.routes.explained(ranked[source])}",
    )


def _ranked(datum: _Datum, destination: str, knowledge: Knowledge) -> dict[str, list[Route]]:
    """The ways from each site that has the datum, best first. Raises StagingError when there is none from any."""
    routes: dict[str, list[Route]] = {}
    size, files = datum.size_bytes or 0, datum.files or 1
    trouble = f"{datum.what} lies at no site that is known; add it again with: convoy data add"
    for source in sorted(datum.sites):
        try:
            routes[source] = knowledge.routes.ranked(source, destination, size_bytes=size, files=files)
        except StagingError as error:
            trouble = error.message
    if not routes:
        raise StagingError(trouble)
    return routes


def _queue_seconds(site: str, knowledge: Knowledge) -> tuple[float, str]:
    """How long a step waits at a site until its first task starts, and how that is known. Its tasks wait together."""
    known = knowledge.queue_waits.get(site)
    if known is None:
        return 0.0, "no wait in its queue is known"
    by = f"by {known.steps} earlier {'step' if known.steps == 1 else 'steps'}"
    if known.seconds < _PACE_S:
        return 0.0, f"no wait in its queue, {by}"
    return known.seconds, f"waits about {shown_duration(known.seconds)} in its queue, {by}"


def _run_seconds(step: PlannedStep, site: str, knowledge: Knowledge) -> tuple[float, str]:
    """How long the tasks take at a site, and how that is known."""
    seconds, basis = _task_seconds(step, site, knowledge)
    return (seconds or 0.0) * _waves(step, knowledge.sites[site]), basis


def _task_seconds(step: PlannedStep, site: str, knowledge: Knowledge) -> tuple[float | None, str]:
    """How long one task takes at a site, if anything is known, and how."""
    here = knowledge.task_seconds.get((step.name, site))
    if here is not None:
        return here, f"{shown_duration(here)} a task in earlier runs here"
    elsewhere = [
        (seconds * knowledge.sites[other].speed, other)
        for (name, other), seconds in knowledge.task_seconds.items()
        if name == step.name and other in knowledge.sites
    ]
    if elsewhere:
        work, other = min(elsewhere)
        seconds = work / knowledge.sites[site].speed
        return seconds, f"{shown_duration(seconds)} a task, judged by {other}"
    return None, "no earlier run to judge by"


def _waves(step: PlannedStep, site: Site) -> int:
    """How many times the site fills up before all tasks are done."""
    at_once = step.tasks or 1
    wanted = step.resources
    if site.slots.cpus:
        at_once = min(at_once, site.slots.cpus // (wanted.cpus or wanted.processes))
    if wanted.gpus and site.slots.gpus:
        at_once = min(at_once, site.slots.gpus // wanted.gpus)
    if wanted.memory and site.slots.memory:
        at_once = min(at_once, site.slots.memory // wanted.memory)
    return math.ceil((step.tasks or 1) / max(1, at_once))


def _why(chosen: Candidate, fit: Sequence[Candidate], at: Placement) -> str:
    if at.site:
        return "the workflow says so"
    if len(fit) == 1:
        return "the only site that fits"
    others = sorted((row for row in fit if row is not chosen), key=lambda row: row.seconds or 0.0)
    if (chosen.seconds or 0.0) == (others[0].seconds or 0.0):
        return f"as good as {others[0].site}, and named first ({chosen.reason})"
    mine, best = shown_duration(chosen.seconds or 0.0), shown_duration(others[0].seconds or 0.0)
    return f"{mine} against {best} at {others[0].site} ({chosen.reason})"


def _note_outputs(step: PlannedStep, site: str, needs: Iterable[_Datum], knowledge: Knowledge, draft: _Draft) -> None:
    policies = [datum.policy for datum in needs]
    for name, output in step.outputs.items():
        each = knowledge.output_bytes.get((step.name, name))
        several = output.type is FileType.FILES
        key = f"{step.name}.{name}"
        draft.produced[key] = _Datum(
            key=key,
            what=key,
            size_bytes=None if each is None or step.tasks is None else round(each * step.tasks),
            files=None if several else step.tasks,
            sites=frozenset({site}),
            policy=result_policy(step, name, policies),
        )
