"""What was done: the run, every attempt of every task, and the transfers between sites."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from metadata.history import AttemptRecord, RunRecord, StepRecord, TaskFile, TaskRecord, TransferRecord
from metadata.provenance.graph import Entity, Graph, Reference, reference
from metadata.provenance.names import (
    ENGINE,
    OPERATOR,
    RUN,
    WORKFLOW,
    FileNames,
    parameter_id,
    shown_time,
    site_id,
    step_id,
    tool_id,
    value_id,
)
from metadata.provenance.workflow import describe_image

_STATUS = {"COMPLETED": "CompletedActionStatus", "FAILED": "FailedActionStatus", "CANCELED": "FailedActionStatus"}


def carried_steps(record: RunRecord) -> list[str]:
    """The steps of which anything was done."""
    return [step.name for step in record.steps if any(_was_carried(task) for task in step.tasks)]


def _was_carried(task: TaskRecord) -> bool:
    return bool(task.attempts) or bool(task.reused_from and task.outputs)


class Actions:
    """Adds actions to a graph that holds the workflow already."""

    def __init__(self, graph: Graph, record: RunRecord, names: FileNames) -> None:
        self._graph = graph
        self._record = record
        self._names = names
        self._plans: Mapping[str, Any] = {step["name"]: step for step in record.plan["steps"]}

    def describe(self) -> None:
        """Adds everything that was done."""
        carried = set(carried_steps(self._record))
        controls = [self._control(step) for step in self._record.steps if step.name in carried]
        self._run()
        self._graph.add({
            "@id": "#organize", "@type": "OrganizeAction", "name": f"Convoy carries out {self._record.name}",
            "instrument": reference(ENGINE), "object": controls, "result": reference(RUN), **self._span(self._record),
        })  # fmt: skip
        for number, transfer in enumerate(self._record.transfers):
            self._transfer(number, transfer)

    def _run(self) -> None:
        plan, record = self._record.plan, self._record
        given = {name: [self._planned(file) for file in files] for name, files in plan.get("inputs", {}).items()}
        values = self._values("workflow", plan.get("parameters", {}))
        results = dict(self._results())
        self._exemplify("workflow", "inputs", given)
        self._exemplify("workflow", "outputs", results)
        self._graph.add({
            "@id": RUN, "@type": "CreateAction", "name": f"Run {record.id} of the workflow {record.name}",
            "description": f"{record.state.lower()}; {record.bytes_moved} bytes moved between sites",
            "identifier": record.id, "instrument": reference(WORKFLOW), "object": [*_flat(given), *values],
            "result": _flat(results), "agent": self._agent(), **self._span(record),
        })  # fmt: skip

    def _results(self) -> Iterable[tuple[str, list[Reference]]]:
        steps = {step.name: step for step in self._record.steps}
        for name, source in self._record.plan.get("outputs", {}).items():
            step, _, output = source.partition(".")
            made = (
                [file for task in steps[step].tasks for file in task.outputs.get(output, ())] if step in steps else []
            )
            if made:
                yield name, [self._file(file) for file in made]

    def _control(self, step: StepRecord) -> Reference:
        actions = [action for task in step.tasks for action in self._task(step, task)]
        return self._graph.add({
            "@id": f"#control/{step.name}", "@type": "ControlAction", "name": f"Convoy controls the step {step.name}",
            "instrument": reference(step_id(step.name)), "object": actions,
        })  # fmt: skip

    def _task(self, step: StepRecord, task: TaskRecord) -> list[Reference]:
        if not _was_carried(task):
            return []
        inputs = {name: [self._file(file) for file in files] for name, files in task.inputs.items()}
        outputs = {name: [self._file(file) for file in files] for name, files in task.outputs.items()}
        self._exemplify(step.name, "inputs", inputs)
        self._exemplify(step.name, "outputs", outputs)
        shared: Entity = {
            "@type": "CreateAction", "instrument": reference(tool_id(step.name)), "agent": self._agent(),
            "object": [*_flat(inputs), *self._values(step.name, task.parameters)],
        }  # fmt: skip
        if not task.attempts:
            return [self._reused(step, task, shared | {"result": _flat(outputs)})]
        last = len(task.attempts) - 1
        made = [_flat(outputs) if number == last else [] for number in range(last + 1)]
        return [
            self._attempt(step, task, attempt, shared | {"result": made[n]}) for n, attempt in enumerate(task.attempts)
        ]

    def _attempt(self, step: StepRecord, task: TaskRecord, attempt: AttemptRecord, shared: Entity) -> Reference:
        image = describe_image(self._graph, self._plans[step.name])
        place = f" on {attempt.node}" if attempt.node else ""
        return self._graph.add(shared | {
            "@id": f"#attempt/{attempt.token}", "name": f"{_label(step, task)}, attempt {attempt.number}",
            "description": f"job {attempt.native_id or 'without a number'} at {attempt.site}{place}",
            "location": self._site(attempt.site), "containerImage": image, **self._span(attempt),
        })  # fmt: skip

    def _reused(self, step: StepRecord, task: TaskRecord, shared: Entity) -> Reference:
        return self._graph.add(shared | {
            "@id": f"#reused/{step.name}/{task.position}", "name": f"{_label(step, task)}, taken over",
            "description": f"The results of the attempt {task.reused_from} were taken over.",
            "actionStatus": f"http://schema.org/{_STATUS['COMPLETED']}",
        })  # fmt: skip

    def _transfer(self, number: int, transfer: TransferRecord) -> None:
        """Only what began; a transfer without bytes is no deed."""
        if transfer.started_at is None:
            return
        file = TaskFile(name=transfer.name, sha256=transfer.sha256, size_bytes=transfer.size_bytes)
        proof = ", verified by its SHA-256" if transfer.state == "COMPLETED" else ""
        self._graph.add({
            "@id": f"#transfer/{number}", "@type": "TransferAction", "name": _moved(transfer),
            "description": f"{transfer.bytes_moved} bytes moved by {transfer.mover}{proof}", "object": self._file(file),
            "fromLocation": self._site(transfer.source_site), "toLocation": self._site(transfer.destination_site),
            "instrument": reference(ENGINE), **self._span(transfer),
        })  # fmt: skip

    def _span(self, done: AttemptRecord | RunRecord | TransferRecord) -> Entity:
        """Times and outcome. Only a failed action may have an error."""
        status = _STATUS.get(done.state, "ActiveActionStatus")
        failed = status == _STATUS["FAILED"]
        return {
            "startTime": shown_time(done.started_at), "endTime": shown_time(done.ended_at),
            "actionStatus": f"http://schema.org/{status}", "error": (done.message or done.state) if failed else None,
        }  # fmt: skip

    def _file(self, file: TaskFile) -> Reference:
        media_type, _ = mimetypes.guess_type(file.name)
        return self._graph.add({
            "@id": self._names[file.sha256], "@type": "File", "name": file.name, "sha256": file.sha256,
            "contentSize": str(file.size_bytes), "encodingFormat": media_type or "application/octet-stream",
        })  # fmt: skip

    def _planned(self, file: Mapping[str, Any]) -> Reference:
        return self._file(TaskFile(name=file["name"], sha256=file["sha256"], size_bytes=file["size_bytes"]))

    def _values(self, owner: str, values: Mapping[str, Any]) -> list[Reference]:
        given = {name: [self._value(name, value)] for name, value in values.items() if value is not None}
        self._exemplify(owner, "parameters", given)
        return _flat(given)

    def _value(self, name: str, value: Any) -> Reference:
        return self._graph.add({
            "@id": value_id(name, value), "@type": "PropertyValue", "name": name,
            "value": value if isinstance(value, (bool, int, float)) else str(value),
        })  # fmt: skip

    def _exemplify(self, owner: str, kind: str, values: Mapping[str, Sequence[Reference]]) -> None:
        for name, references in values.items():
            parameter = parameter_id(owner, kind, name)
            if parameter in self._graph:
                self._graph.exemplify(parameter, references)

    def _site(self, site: str) -> Reference:
        return self._graph.add({"@id": site_id(site), "@type": "Place", "name": site})

    def _agent(self) -> Reference | None:
        return reference(OPERATOR) if OPERATOR in self._graph else None


def _flat(groups: Mapping[str, Sequence[Reference]]) -> list[Reference]:
    """Every reference once, in order."""
    found = {each["@id"]: each for group in groups.values() for each in group}
    return list(found.values())


def _label(step: StepRecord, task: TaskRecord) -> str:
    return f"{step.name} {task.label}".strip()


def _moved(transfer: TransferRecord) -> str:
    return f"{transfer.name} to {transfer.destination_site}"
