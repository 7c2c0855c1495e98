"""A plan: everything that is decided before a run starts. It is shown, saved as JSON and carried out exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metadata.errors import InvalidInputError, SourcePosition
from metadata.policy import Policy, combined, derived
from orchestrator.workflows import FileType, Output, Resources, Retries, Value

PLAN_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class PlannedFile(_Part):
    """A file that is there already: a name for some content."""

    name: str
    """Its base name, as the program will see it."""
    sha256: str
    size_bytes: int
    origin: str
    """`dataset://...`, for people."""


class PlannedInput(_Part):
    """Where a step's input comes from. One of `files` (there already) or `producers` (earlier steps) is filled."""

    type: FileType
    optional: bool = False
    files: tuple[PlannedFile, ...] = ()
    producers: tuple[str, ...] = ()
    """`step.output`, in order."""
    matching: str | None = None
    """Only the file whose stem equals that of this other input."""
    option: str | None = None
    """The command-line option of a use case's layer."""


class PlannedScatter(_Part):
    """One way in which a step is spread: over an input's files, or over a parameter's values."""

    name: str
    over_files: bool
    values: tuple[Value, ...] = ()


class Candidate(_Part):
    """A site that was considered."""

    site: str
    seconds: float | None = None
    """None when the step cannot run there."""
    reason: str = ""


class Prediction(_Part):
    """What a step will take, in seconds."""

    transfer_s: float = 0.0
    queue_s: float = 0.0
    """Until the first task starts; 0 where nothing is known, and in plans that are older than this."""
    run_s: float = 0.0
    basis: str = ""
    """What the wait and the run time rest on: history, or a guess."""

    @property
    def total_s(self) -> float:
        """Transfers, queue and run together."""
        return self.transfer_s + self.queue_s + self.run_s


class PlannedStep(_Part):
    """A step with everything resolved."""

    name: str
    site: str
    reason: str
    skipped: str = ""
    after: tuple[str, ...] = ()
    """The steps whose results it needs."""
    command: tuple[str, ...] | str
    """Words of a command, or text for a shell; templates are filled in a task at a time."""
    launcher: tuple[str, ...] = ()
    """Words before the command when several processes run in an image."""
    appended_options: bool = False
    """True for a use case's layer: inputs and parameters become options behind the command."""
    parameter_options: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, PlannedInput] = Field(default_factory=dict)
    parameters: dict[str, Value] = Field(default_factory=dict)
    scatter: tuple[PlannedScatter, ...] = ()
    scatter_method: str = "dotproduct"
    tasks: int | None = None
    """How many tasks; None when that is known only later."""
    outputs: dict[str, Output] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    resources: Resources = Field(default_factory=Resources)
    attributes: dict[str, str] = Field(default_factory=dict)
    retries: Retries = Field(default_factory=Retries)
    runtime: str = "host"
    image: str | None = None
    image_digest: str = ""
    """What identifies the program: the image's digest, or a hash of the use case's code on the host."""
    image_file: PlannedFile | None = None
    """The SIF that is brought to the site; None where programs run on the host."""
    usecase: str | None = None
    expected_s: float | None = None
    """How long one task is thought to take, by earlier runs."""
    throttle: int | None = None
    """At most so many of its tasks run at a time."""
    bundle_s: float | None = None
    """Seconds of work up to which short tasks may share a job; 0 gives each its own. The site decides if it is None."""
    priority: int = 0
    """What it needs is brought before what steps of less priority need."""
    prediction: Prediction = Field(default_factory=Prediction)
    candidates: tuple[Candidate, ...] = ()


class PlannedTransfer(_Part):
    """Data that a step needs and its site does not have."""

    step: str
    what: str
    files: int | None
    size_bytes: int | None
    """None when the data do not exist yet and there is no history of their size."""
    source: str
    destination: str
    mover: str
    direction: str = ""
    """`push`, `pull`, `third-party`, `relay` or `local`; empty in plans that are older than directions."""
    streams: int = 1
    credential: str = "none"
    """By what right the sites talk to each other."""
    seconds: float | None
    low_s: float | None = None
    high_s: float | None = None
    """Between these it takes in eight cases of ten; None where nothing was measured."""
    reason: str


class Plan(_Part):
    """All of it."""

    version: int = PLAN_VERSION
    name: str
    description: str = ""
    inputs: dict[str, tuple[PlannedFile, ...]] = Field(default_factory=dict)
    parameters: dict[str, Value] = Field(default_factory=dict)
    steps: tuple[PlannedStep, ...]
    transfers: tuple[PlannedTransfer, ...] = ()
    outputs: dict[str, str] = Field(default_factory=dict)
    workflow: dict[str, Any] = Field(default_factory=dict)
    """The workflow as its author wrote it, for the record."""

    def step(self, name: str) -> PlannedStep:
        """The step with this name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def digest(self) -> str:
        """A short name for exactly this plan."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def result_policy(step: PlannedStep, output_name: str, inputs: Iterable[Policy]) -> Policy:
    """Where a step's output may lie, made of inputs with these policies.

    What an owner releases by name counts only for a use case, which declares what its outputs are: anybody's own
    command could give that name to a copy of its input.
    """
    if step.usecase is None:
        return combined(inputs)
    return derived(inputs, output_name=output_name, media_type=step.outputs[output_name].media_type)


def load_plan(path: Path) -> Plan:
    """A plan that was saved as JSON. Raises InvalidInputError with the line where it cannot be read."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"cannot read the plan {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise InvalidInputError(
            f"this is not a plan: {place}: {first['msg']}", position=SourcePosition(file=str(path))
        ) from error
