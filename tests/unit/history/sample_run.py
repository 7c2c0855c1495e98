"""CamNet runs as the engine would journal them: slides at uva, patches cut at agh, a model trained at hes-so."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session

from metadata.rows import Attempt, Event, Run, Step, Task, Transfer
from orchestrator.plans import (
    Candidate,
    Plan,
    PlannedFile,
    PlannedInput,
    PlannedScatter,
    PlannedStep,
    PlannedTransfer,
    Prediction,
)
from orchestrator.workflows import FileType, Output, Resources, Retries

STARTED_AT = 1_760_000_000.0
SLIDE_BYTES = 1_288_490_189
PATCHES_BYTES = 84_211_302
WEIGHTS_BYTES = 98_043_912
BYTES_PER_S = 61e6
WORKFLOW = """\
name: camnet
inputs:
  slides: dataset://camelyon17
steps:
  extract:
    usecase: camnet/layer1
    scatter: {slide: inputs.slides}
    with: {patches: 500, seed: 7}
  train:
    usecase: camnet/layer2
    in: {patches: extract.patches}
    with: {model: resnet50, epochs: 10}
  heatmap:
    usecase: camnet/layer3
    scatter: {slide: inputs.slides}
    in: {weights: train.weights}
outputs: {heatmaps: heatmap.heatmap, weights: train.weights}
"""


def digest(name: str) -> str:
    """A SHA-256 that belongs to this name."""
    return hashlib.sha256(name.encode()).hexdigest()


def slide_name(number: int) -> str:
    return f"patient_{number // 5:03d}_node_{number % 5}.tif"


def camnet_plan(*, slides: int = 2, name: str = "camnet") -> Plan:
    """What the planner would decide for this many slides."""
    files = tuple(_slide_file(number) for number in range(slides))
    parameters = {"patches": 500, "seed": 7, "epochs": 10}
    transfers = _planned_transfers(files)
    steps = (_extract(files), _train(slides), _heatmap(files))
    outputs = {"heatmaps": "heatmap.heatmap", "weights": "train.weights"}
    return Plan(
        name=name, description="Finds metastases in lymph-node slides.", inputs={"slides": files},
        parameters=parameters, steps=steps, transfers=transfers, outputs=outputs, workflow={"name": name},
    )  # fmt: skip


def _slide_file(number: int) -> PlannedFile:
    name = slide_name(number)
    origin = f"dataset://camelyon17/{name}"
    return PlannedFile(name=name, sha256=digest(name), size_bytes=SLIDE_BYTES, origin=origin)


def _extract(files: tuple[PlannedFile, ...]) -> PlannedStep:
    return PlannedStep(
        name="extract", site="agh", reason="fastest of 3 sites", command=("python", "-m", "usecases.camnet.layer1"),
        appended_options=True, parameter_options={"patches": "--patches", "seed": "--seed"},
        inputs={"slide": PlannedInput(type=FileType.FILE, files=files, option="--slide")},
        parameters={"patches": 500, "seed": 7}, scatter=(PlannedScatter(name="slide", over_files=True),),
        tasks=len(files), resources=Resources(cpus=4, memory=8 * 2**30, time=1800), usecase="camnet/layer1",
        outputs={"patches": Output(path="patches.h5", media_type="application/x-hdf5"),
                 "sampling": Output(path="sampling.png", media_type="image/png", report=True)},
        runtime="apptainer", image="docker://registry.example.org/camnet:1.0", image_digest="sha256:" + digest("image"),
        prediction=Prediction(transfer_s=21, run_s=240, basis="median of 6 earlier tasks"),
        candidates=(Candidate(site="agh", seconds=261), Candidate(site="hes-so", seconds=410)),
    )  # fmt: skip


def _train(slides: int) -> PlannedStep:
    return PlannedStep(
        name="train", site="hes-so", reason="the only site with 2 GPUs", after=("extract",),
        command=("python", "-m", "usecases.camnet.layer2"), appended_options=True,
        inputs={"patches": PlannedInput(type=FileType.FILES, producers=("extract.patches",), option="--patches")},
        parameters={"model": "resnet50", "epochs": 10}, tasks=1, usecase="camnet/layer2",
        resources=Resources(gpus=2, processes=2, time=14400), retries=Retries(attempts=1),
        outputs={"weights": Output(path="weights.h5", media_type="application/x-hdf5"),
                 "curves": Output(path="curves.png", media_type="image/png", report=True),
                 "metrics": Output(path="metrics.json", media_type="application/json", report=True)},
        runtime="apptainer", image="docker://registry.example.org/camnet:1.0", image_digest="sha256:" + digest("image"),
        prediction=Prediction(transfer_s=1.4 * slides, run_s=900, basis="median of 2 earlier tasks"),
    )  # fmt: skip


def _heatmap(files: tuple[PlannedFile, ...]) -> PlannedStep:
    return PlannedStep(
        name="heatmap", site="uva", reason="the slides are there", after=("train",),
        command=("python", "-m", "usecases.camnet.layer3"), appended_options=True,
        inputs={"slide": PlannedInput(type=FileType.FILE, files=files, option="--slide"),
                "weights": PlannedInput(type=FileType.FILE, producers=("train.weights",), option="--weights")},
        scatter=(PlannedScatter(name="slide", over_files=True),), tasks=len(files), usecase="camnet/layer3",
        resources=Resources(gpus=1), retries=Retries(attempts=1, grow={"memory": 2}),
        outputs={"heatmap": Output(path="heatmap.npz", media_type="application/octet-stream"),
                 "overlay": Output(path="overlay.png", media_type="image/png", report=True)},
        runtime="apptainer", image="docker://registry.example.org/camnet:1.0", image_digest="sha256:" + digest("image"),
        prediction=Prediction(transfer_s=1.6, run_s=180, basis="a guess"),
    )  # fmt: skip


def _planned_transfers(files: tuple[PlannedFile, ...]) -> tuple[PlannedTransfer, ...]:
    moves: list[tuple[str, str, int | None, str, str, str]] = [
        ("extract", file.origin, file.size_bytes, "uva", "agh", "gridftp") for file in files
    ]
    moves.append(("train", "extract.patches", None, "agh", "hes-so", "scp"))
    moves.append(("heatmap", "train.weights", None, "hes-so", "uva", "scp"))
    return tuple(
        PlannedTransfer(
            step=step, what=what, files=1, size_bytes=size, source=source, destination=destination, mover=mover,
            seconds=size / BYTES_PER_S if size else None, reason="the fastest that both have",
        )
        for step, what, size, source, destination, mover in moves
    )  # fmt: skip


@dataclass(kw_only=True)
class Journal:
    """Writes rows as the engine would, with a clock of its own."""

    session: Session
    run_id: str
    now: float = STARTED_AT
    step_ids: dict[str, int] = field(default_factory=dict)

    def add(self, row: Any) -> Any:
        self.session.add(row)
        self.session.flush()
        return row

    def event(self, kind: str, subject: str, message: str = "", *, at: float | None = None) -> None:
        self.session.add(Event(run_id=self.run_id, at=at or self.now, kind=kind, subject=subject, message=message))

    def task(self, step: str, position: int, label: str, **fields: Any) -> Task:
        """A task that nothing was submitted for, unless `fields` say otherwise."""
        defaults: dict[str, Any] = {"state": "NEW", "inputs": {}, "parameters": {}, "content_key": digest(step + label)}
        row = Task(
            run_id=self.run_id, step_id=self.step_ids[step], position=position, label=label, **(defaults | fields)
        )
        return self.add(row)

    def attempt(self, task: Task, *, site: str, start: float, seconds: float | None, **fields: Any) -> Attempt:
        """An attempt that took so many seconds, after five in the queue; None seconds: it still runs."""
        number = fields.pop("number", 1)
        step = next(name for name, key in self.step_ids.items() if key == task.step_id)
        token = f"{self.run_id}.{step}.{task.position}.{number}"
        self.event("task.submitting", token, f"to {site}", at=start - 5)
        ended = None if seconds is None else start + seconds
        self.event("task.ended" if ended else "task.started", token, fields.get("message", ""), at=ended or start)
        defaults: dict[str, Any] = {
            "state": "COMPLETED" if ended else "ACTIVE", "native_state": "COMPLETED" if ended else "RUNNING",
            "exit_code": 0 if ended else None, "node": f"{site}-c{task.position % 16:02d}",
            "native_id": str(40_000 + task.id * 10 + number), "resources": {"cpus": 4, "memory": 8 * 2**30},
        }  # fmt: skip
        task.attempts = number
        return self.add(Attempt(
            run_id=self.run_id, task_id=task.id, number=number, token=token, site=site,
            directory=f"/scratch/convoy/{self.run_id}/{step}/{task.position}/{number}", created_at=start - 5,
            submitted_at=start - 4.5, started_at=start, ended_at=ended, **(defaults | fields),
        ))  # fmt: skip

    def transfer(self, name: str, size: int, *, step: str, link: str, start: float, **fields: Any) -> float:
        """The end of a transfer along `link`, written `source>destination`, that began at `start`."""
        source, destination = link.split(">")
        end = start + size / BYTES_PER_S
        defaults: dict[str, Any] = {"state": "COMPLETED", "bytes_done": size, "bytes_moved": size, "ended_at": end}
        self.add(Transfer(
            run_id=self.run_id, step_id=self.step_ids[step], name=name, sha256=digest(name), size_bytes=size,
            source_site=source, source_path=f"/data/{name}", destination_site=destination,
            destination_path=f"/scratch/convoy/cache/{digest(name)}", mover=fields.pop("mover", "scp"), attempts=1,
            created_at=start - 1, started_at=start, **(defaults | fields),
        ))  # fmt: skip
        self.event("transfer.completed", name, f"{link}", at=end)
        return end


def stored(name: str, size: int, path: str = "") -> dict[str, Any]:
    """A file as tasks keep it."""
    return {"name": name, "sha256": digest(name), "size_bytes": size} | ({"path": path} if path else {})


def begin(session: Session, plan: Plan, *, run_id: str, **fields: Any) -> Journal:
    """A run with its steps, and nothing done yet."""
    defaults: dict[str, Any] = {"state": "NEW", "created_at": STARTED_AT - 20}
    session.add(Run(id=run_id, name=plan.name, plan=plan.model_dump(mode="json", by_alias=True), **(defaults | fields)))
    session.flush()
    journal = Journal(session=session, run_id=run_id)
    journal.event("run.created", run_id, f"plan {plan.digest}", at=STARTED_AT - 20)
    for position, step in enumerate(plan.steps):
        row = Step(run_id=run_id, position=position, name=step.name, site=step.site, expanded=True)
        journal.step_ids[step.name] = journal.add(row).id
    return journal


def planned_run(engine: Engine, *, run_id: str = "20251009-camnet-0planned") -> str:
    """A run that was only planned: no task, no transfer."""
    with Session(engine.execution_options(writing=True)) as session:
        begin(session, camnet_plan(), run_id=run_id)
        session.commit()
    return run_id


def camnet_run(engine: Engine, *, run_id: str = "20251009-camnet-7f3a", name: str = "camnet", slides: int = 2) -> str:
    """A whole run: two transfers a slide, one weights file sent back, and a heat map that needed a second attempt."""
    with Session(engine.execution_options(writing=True)) as session:
        plan = camnet_plan(slides=slides, name=name)
        journal = begin(session, plan, run_id=run_id, state="COMPLETED", started_at=STARTED_AT)
        extracted = _play_extract(journal, slides)
        trained = _play_train(journal, slides, start=extracted)
        ended = _play_heatmap(journal, slides, start=trained)
        session.get(Run, run_id).ended_at = ended + 2
        journal.event("run.ended", run_id, "COMPLETED", at=ended + 2)
        session.commit()
    return run_id


def failed_run(engine: Engine, *, run_id: str = "20251010-camnet-fa11ed") -> str:
    """A run whose training failed twice, so that nothing behind it began."""
    message = "train failed at hes-so with exit code 1 after 2 attempts: CUDA out of memory. Ask for more memory"
    with Session(engine.execution_options(writing=True)) as session:
        journal = begin(
            session, camnet_plan(), run_id=run_id, state="FAILED", started_at=STARTED_AT, message=message,
        )  # fmt: skip
        inputs = {"patches": [stored(f"patches-{number}.h5", PATCHES_BYTES) for number in range(2)]}
        start = _bring_patches(journal, 2, start=_play_extract(journal, 2)) + 30
        task = journal.task("train", 0, "", state="FAILED", inputs=inputs, message=message)
        for number in (1, 2):
            journal.attempt(
                task, site="hes-so", start=start, seconds=95, number=number, state="FAILED", exit_code=1,
                native_state="FAILED", message="CUDA out of memory",
            )  # fmt: skip
            start += 130
        for number in range(2):
            journal.task("heatmap", number, slide_name(number), state="CANCELED", message="train failed")
        session.get(Run, run_id).ended_at = start
        journal.event("run.ended", run_id, "FAILED", at=start)
        session.commit()
    return run_id


def active_run(engine: Engine, *, run_id: str = "20251011-camnet-ac71", slides: int = 2) -> str:
    """A run in the middle of its first step: half of the slides done, a slide on its way."""
    with Session(engine.execution_options(writing=True)) as session:
        plan = camnet_plan(slides=slides)
        journal = begin(session, plan, run_id=run_id, state="ACTIVE", started_at=STARTED_AT)
        half = slides // 2
        arrived = _play_extract(journal, half)
        journal.transfer(
            slide_name(half), SLIDE_BYTES, step="extract", link="uva>agh", start=arrived, mover="gridftp",
            state="ACTIVE", ended_at=None, bytes_done=SLIDE_BYTES // 4, bytes_moved=0,
        )  # fmt: skip
        task = journal.task("extract", half, slide_name(half), state="ACTIVE")
        journal.attempt(task, site="agh", start=arrived, seconds=None)
        for number in range(half + 1, slides):
            journal.task("extract", number, slide_name(number))
        session.commit()
    return run_id


def _play_extract(journal: Journal, slides: int) -> float:
    arrived, ended = STARTED_AT + 2, STARTED_AT
    for number in range(slides):
        name = slide_name(number)
        arrived = journal.transfer(name, SLIDE_BYTES, step="extract", link="uva>agh", start=arrived, mover="gridftp")
        outputs = {
            "patches": [stored(f"patches-{number}.h5", PATCHES_BYTES, "patches.h5")],
            "sampling": [stored(f"sampling-{number}.png", 412_000, "sampling.png")],
        }
        task = journal.task(
            "extract", number, name, state="COMPLETED", outputs=outputs, inputs={"slide": stored(name, SLIDE_BYTES)},
            parameters={"patches": 500, "seed": 7},
        )  # fmt: skip
        seconds = 190 + (number * 37) % 90
        journal.attempt(task, site="agh", start=arrived + 8, seconds=seconds)
        ended = max(ended, arrived + 8 + seconds)
    return ended


def _play_train(journal: Journal, slides: int, *, start: float) -> float:
    patches = [stored(f"patches-{number}.h5", PATCHES_BYTES) for number in range(slides)]
    arrived = _bring_patches(journal, slides, start=start)
    outputs = {
        "weights": [stored("weights.h5", WEIGHTS_BYTES, "weights.h5")],
        "curves": [stored("curves.png", 60_100, "curves.png")],
        "metrics": [stored("metrics.json", 812, "metrics.json")],
    }
    task = journal.task(
        "train", 0, "", state="COMPLETED", inputs={"patches": patches}, outputs=outputs,
        parameters={"model": "resnet50", "epochs": 10},
    )  # fmt: skip
    journal.attempt(task, site="hes-so", start=arrived + 30, seconds=1012)
    return arrived + 30 + 1012


def _bring_patches(journal: Journal, slides: int, *, start: float) -> float:
    arrived = start + 3
    for number in range(slides):
        name = f"patches-{number}.h5"
        arrived = journal.transfer(name, PATCHES_BYTES, step="train", link="agh>hes-so", start=arrived)
    return arrived


def _play_heatmap(journal: Journal, slides: int, *, start: float) -> float:
    """The last slide's map runs out of memory once."""
    arrived = journal.transfer("weights.h5", WEIGHTS_BYTES, step="heatmap", link="hes-so>uva", start=start + 2)
    ended = arrived
    for number in range(slides):
        task = _heatmap_task(journal, number)
        start = arrived + 6 + (number // 64) * 200
        if number == slides - 1:
            journal.attempt(
                task, site="uva", start=start, seconds=41, state="FAILED", native_state="OUT_OF_MEMORY", exit_code=137,
                message="killed: 8 GiB of memory were not enough",
            )  # fmt: skip
            journal.attempt(task, site="uva", start=start + 70, seconds=171, number=2)
            ended = max(ended, start + 241)
        else:
            journal.attempt(task, site="uva", start=start, seconds=160 + number % 40)
            ended = max(ended, start + 200)
    return ended


def _heatmap_task(journal: Journal, number: int) -> Task:
    name = slide_name(number)
    outputs = {
        "heatmap": [stored(f"heatmap-{number}.npz", 3_120_000, "heatmap.npz")],
        "overlay": [stored(f"overlay-{number}.png", 640_000, "overlay.png")],
    }
    inputs = {"slide": stored(name, SLIDE_BYTES), "weights": stored("weights.h5", WEIGHTS_BYTES)}
    return journal.task("heatmap", number, name, state="COMPLETED", inputs=inputs, outputs=outputs)
