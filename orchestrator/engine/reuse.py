"""Takes over results of earlier tasks that did exactly the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from metadata.errors import MiddlewareError
from metadata.journal import TASKS, Page
from metadata.records import ReplicaRecord
from orchestrator.engine.context import Context
from orchestrator.engine.copies import trusted
from orchestrator.engine.live import LiveRun, LiveStep, LiveTask
from orchestrator.engine.results import register
from orchestrator.engine.silences import Silences
from orchestrator.jobs import JobState


def take_over(context: Context, run: LiveRun, page: Page, *, silences: Silences) -> int:
    """Completes every new task whose content key an earlier task shares, if those results still lie somewhere.

    Returns how many. Tasks without outputs have no results to share and always run.
    """
    waiting = [(step, task) for step, task in run.tasks() if task.state is JobState.NEW and not task.checked_for_reuse]
    for _, task in waiting:
        task.checked_for_reuse = True
    eligible = [(step, task) for step, task in waiting if step.plan.outputs and task.attempts == 0]
    if run.fresh or not eligible:
        return 0
    silent = {site for site in context.storages if silences.rests(site)}
    earlier = context.journal.earlier_results(task.content_key for _, task in eligible)
    reused = [
        (step, task, row)
        for step, task in eligible
        if (row := _still_there(context, earlier.get(task.content_key, []), silent))
    ]
    for _, task, row in reused:
        task.outputs = row["outputs"]
    refused = register(context, run, [(step, task) for step, task, _ in reused], replicas=False)
    reused = [(step, task, row) for step, task, row in reused if task.id not in refused]
    for _, task, row in reused:
        task.state = JobState.COMPLETED
        origin = f"{row['run_id']}#{row['id']}"
        page.update(TASKS, task.id, state=str(task.state), outputs=task.outputs, reused_from=origin)
    _tell(run, reused, page)
    return len(reused)


def _tell(run: LiveRun, reused: list[tuple[LiveStep, LiveTask, dict[str, Any]]], page: Page) -> None:
    for step, task, row in reused:
        page.event(run.id, "task.reused", f"{step.plan.name}[{task.position}]", f"results of {row['run_id']}")


def _still_there(context: Context, rows: list[dict[str, Any]], silent: set[str]) -> dict[str, Any] | None:
    """The newest earlier task of which every output has a copy that is really there.

    A site that does not answer is added to `silent`, and counts as one that has nothing: the task is done anew.
    """
    for row in rows:
        hashes = {file["sha256"] for files in (row["outputs"] or {}).values() for file in files}
        copies = context.catalogue.replicas(hashes)
        if hashes <= {copy.sha256 for some in copies.values() for copy in _trusted(context, some, silent)}:
            return row
    return None


def _trusted(context: Context, copies: Iterable[ReplicaRecord], silent: set[str]) -> Iterator[ReplicaRecord]:
    for site, some in groupby(sorted(copies, key=lambda copy: copy.site), key=lambda copy: copy.site):
        if site not in silent:
            try:
                yield from trusted(context, some)
            except MiddlewareError:
                silent.add(site)
