"""Writes what tasks made into the catalogue, under the run's own dataset."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from metadata.errors import ConflictError, InvalidInputError
from metadata.policy import Policy
from metadata.records import NewFile, ReplicaRecord
from orchestrator.engine.context import Context
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask
from orchestrator.plans import result_policy
from orchestrator.workflows import Output


def register(
    context: Context, run: LiveRun, done: Sequence[tuple[LiveStep, LiveTask]], *, replicas: bool = True
) -> dict[int, str]:
    """Every output of the tasks is a file of the dataset `<run>`, with its copy at the site and its inherited policy.

    Doing it twice changes nothing, so that a crash in between does no harm. Returns why the catalogue takes nothing of
    some tasks, by their ids: a name stands for other content already, or cannot be one.
    """
    try:
        _register(context, run, done, replicas=replicas)
    except (ConflictError, InvalidInputError) as error:
        if len(done) == 1:
            return {done[0][1].id: error.message}
        refused: dict[int, str] = {}
        for one in done:
            refused |= register(context, run, [one], replicas=replicas)
        return refused
    return {}


def _register(context: Context, run: LiveRun, done: Iterable[tuple[LiveStep, LiveTask]], *, replicas: bool) -> None:
    rows = [
        (step, task, name, file)
        for step, task in done
        for name, files in (task.outputs or {}).items()
        for file in files
    ]
    if not rows:
        return
    hashes = {file["sha256"] for _, task, _, _ in rows for file in task.files()}
    policies = context.catalogue.policies(hashes) if hashes else {}
    files = [_new_file(step, task, name, file, policies) for step, task, name, file in rows]
    context.catalogue.add_files(run.id, files, description=f"results of {run.plan.name}")
    if replicas:
        context.catalogue.add_replicas([_replica(context, step, file) for step, _, _, file in rows])


def _new_file(step: LiveStep, task: LiveTask, name: str, file: dict[str, Any], policies: dict[str, Policy]) -> NewFile:
    output: Output = step.plan.outputs[name]
    inherited = [policies[row["sha256"]] for row in task.files() if row["sha256"] in policies]
    policy = result_policy(step.plan, name, inherited)
    return NewFile(
        path=f"{step.plan.name}/{task.position}/{file['relative']}",
        size_bytes=file["size_bytes"],
        sha256=file["sha256"],
        media_type=output.media_type,
        policy=policy if policy.restricted else None,
    )


def _replica(context: Context, step: LiveStep, file: dict[str, Any]) -> ReplicaRecord:
    storage = context.storages[step.plan.site]
    # A question to a remote site for every file would cost more than hashing the file again when it is doubted.
    facts = storage.stat(file["path"]) if storage.endpoint.local else None
    return ReplicaRecord(
        sha256=file["sha256"],
        size_bytes=file["size_bytes"],
        site=step.plan.site,
        path=file["path"],
        modified_ns=facts.modified_ns if facts else None,
        inode=facts.inode if facts else None,
        verified_at=time.time(),
    )
