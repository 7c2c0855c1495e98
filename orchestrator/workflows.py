"""What a workflow file may say."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from metadata.errors import InvalidWorkflowError
from orchestrator.documents import Document, Name, Strict, VariableName, load_document, validated
from orchestrator.jobs import JobAttributes, ResourceSpec
from orchestrator.quantities import Bundling, Duration, Size

Scalar = str | int | float | bool
Value = Scalar | list[Scalar] | None


class FileType(StrEnum):
    """What an input or output is: one file, or a list of them."""

    FILE = "file"
    FILES = "file[]"


class ParameterType(StrEnum):
    """What a parameter's value may be."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


class Parameter(Strict):
    """A value that a person may set."""

    type: ParameterType
    default: Value = None
    description: str = ""
    choices: list[Scalar] | None = None
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _limits_numbers(self) -> Parameter:
        limited = self.minimum is not None or self.maximum is not None
        if limited and self.type not in (ParameterType.INTEGER, ParameterType.NUMBER):
            raise ValueError(f"a {self.type} has no minimum or maximum")
        return self

    def problem(self, value: Any) -> str | None:
        """Why `value` does not fit; None when it does. None fits a parameter without default."""
        if value is None and self.default is None:
            return None
        if isinstance(value, list):
            return next((reason for item in value if (reason := self.problem(item))), None)
        expected = _PYTHON_TYPES[self.type]
        if not isinstance(value, expected) or (isinstance(value, bool) and self.type is not ParameterType.BOOLEAN):
            return f"{value!r} is no {self.type}"
        if self.choices is not None and value not in self.choices:
            return f"{value!r} is not one of {', '.join(map(str, self.choices))}"
        return self._outside(value) if isinstance(value, int | float) else None

    def _outside(self, value: float) -> str | None:
        if self.minimum is not None and value < self.minimum:
            return f"{value!r} is less than {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"{value!r} is more than {self.maximum:g}"
        return None


_PYTHON_TYPES: dict[ParameterType, type | tuple[type, ...]] = {
    ParameterType.STRING: str,
    ParameterType.INTEGER: int,
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: bool,
}


def _parameter_from_literal(value: Any) -> Any:
    """`seed: 7` is short for `seed: {type: integer, default: 7}`."""
    kinds = [(bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")]
    for kind, name in kinds:
        if isinstance(value, kind):
            return {"type": name, "default": value}
    return value


class WorkflowInput(Strict):
    """Files that a run starts from. `default` is a path or a dataset name."""

    type: FileType | None = None
    """Left out, a whole dataset or a folder is a list of files and anything else is one file."""
    default: str | list[str] | None = None
    pattern: str | None = None
    """Only files whose path fits this shell pattern."""
    optional: bool = False
    description: str = ""


def _input_from_literal(value: Any) -> Any:
    return {"default": value} if isinstance(value, (str, list)) else value


class Resources(Strict):
    """What one task needs; totals for the task, shared evenly by its processes."""

    cpus: int | None = Field(default=None, ge=1)
    memory: Size | None = None
    gpus: int = Field(default=0, ge=0)
    processes: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    time: Duration | None = None
    disk: Size | None = None

    @model_validator(mode="after")
    def _shared_evenly(self) -> Resources:
        for name, amount in (("cpus", self.cpus or self.processes), ("gpus", self.gpus)):
            if amount % self.processes:
                raise ValueError(f"{amount} {name} cannot be shared evenly by {self.processes} processes")
        return self

    def over(self, defaults: Resources) -> Resources:
        """These resources, with what they leave out taken from `defaults`."""
        return defaults.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def grown(self, factors: dict[str, float], times: int) -> Resources:
        """These resources multiplied by each factor, `times` times: what a retry asks for."""
        update: dict[str, Any] = {}
        for name, factor in factors.items():
            amount = getattr(self, name)
            if amount is not None:
                update[name] = type(amount)(amount * factor**times)
        return self.model_copy(update=update)

    def to_spec(self) -> ResourceSpec:
        """The same in PSI/J's words."""
        return ResourceSpec(
            node_count=self.nodes,
            process_count=self.processes,
            cpu_cores_per_process=(self.cpus or self.processes) // self.processes,
            gpu_cores_per_process=self.gpus // self.processes,
            memory=self.memory,
        )


class Placement(Strict):
    """Where a step may run."""

    site: str | None = None
    sites: list[str] | None = None
    labels: list[str] = Field(default_factory=list)
    near: Name | None = None
    """An input: of the sites that fit, only those where it lies already, if there are any."""


class Retries(Strict):
    """What happens after a failure."""

    attempts: int = Field(default=0, ge=0)
    """Further tries after the first."""
    delay: Duration = 0.0
    grow: dict[Literal["cpus", "memory", "time"], Annotated[float, Field(ge=1)]] = Field(default_factory=dict)
    """A factor a try for each resource, such as `{memory: 2}`."""


class Output(Strict):
    """A file that a step leaves behind."""

    path: str
    """Relative to the task's directory; a shell pattern, which for `file` fits one file."""
    type: FileType = FileType.FILE
    media_type: str = ""
    description: str = ""
    optional: bool = False
    report: bool = False
    """Shown in the run's report (pictures)."""

    @property
    def is_pattern(self) -> bool:
        """Whether the path has to be looked for."""
        return self.type is FileType.FILES or any(sign in self.path for sign in "*?[")

    @model_validator(mode="after")
    def _stays_inside(self) -> Output:
        if self.path.startswith("/") or ".." in self.path.split("/"):
            raise ValueError(f"the output path {self.path!r} leaves the task's directory")
        return self


class Binding(Strict):
    """An input that is picked out of a list: the file whose stem equals that of another input."""

    source: str | list[str] = Field(alias="from")
    matching: str | None = None


class Through(Strict):
    """A transform that an input passes on its way to a step."""

    usecase: str
    """`<use case>/<layer>`: one required input, one output."""
    parameters: dict[Name, Value] = Field(default_factory=dict, alias="with")
    where: Literal["source", "destination"] = "source"
    """Before the data leave, or after they have arrived."""


class Range(Strict):
    """The numbers from 0 to `range` - 1, as a scatter's source."""

    range: int = Field(ge=0)


def _shorthand(key: str, kinds: tuple[type, ...]) -> BeforeValidator:
    return BeforeValidator(lambda value: {key: value} if isinstance(value, kinds) else value)


_listed = BeforeValidator(lambda value: value if isinstance(value, list) else [value])


class Step(Strict):
    """One program, run once or once an element of its scatter."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    description: str = ""
    usecase: str | None = None
    """`<use case>/<layer>`; or `command` (and `image`) for a program of one's own."""
    command: str | list[str] | None = None
    image: str | None = None
    scatter: dict[Name, str | Range | list[Scalar]] = Field(default_factory=dict)
    scatter_method: Literal["dotproduct", "crossproduct"] = "dotproduct"
    inputs: dict[Name, Annotated[Binding, _shorthand("from", (str, list))]] = Field(default_factory=dict, alias="in")
    through: dict[Name, Annotated[list[Annotated[Through, _shorthand("usecase", (str,))]], _listed]] = Field(
        default_factory=dict
    )
    """Input -> the transforms that it passes through, in order."""
    parameters: dict[Name, Value] = Field(default_factory=dict, alias="with")
    outputs: dict[Name, Annotated[Output, _shorthand("path", (str,))]] = Field(default_factory=dict)
    environment: dict[VariableName, str] = Field(default_factory=dict)
    resources: Resources = Field(default_factory=Resources)
    attributes: dict[str, str] = Field(default_factory=dict)
    """Scheduler options by name, such as `slurm.qos`."""
    at: Annotated[Placement, _shorthand("site", (str,))] = Field(default_factory=Placement)
    retries: Annotated[Retries, _shorthand("attempts", (int,))] = Field(default_factory=Retries)
    when: str | bool = True
    throttle: int | None = Field(default=None, ge=1)
    """At most so many of its tasks run at a time, such as there are licences; a job array's own word."""
    priority: int = 0
    """What it needs is brought before what steps of less priority need."""
    bundle: Bundling | None = None
    """Short tasks may share a batch job, up to about so much work in each; `false` gives each its own. Left out, the
    site decides."""

    @model_validator(mode="after")
    def _one_program(self) -> Step:
        if (self.usecase is None) == (self.command is None):
            raise ValueError("a step has either `usecase:` or `command:`")
        if self.usecase is not None and self.outputs:
            raise ValueError("the outputs of a use case are declared by the use case, not by the step")
        return self

    def job_attributes(self) -> JobAttributes:
        """The scheduler's side of this step."""
        return JobAttributes(custom_attributes=dict(self.attributes))


class Workflow(Strict):
    """Steps, the files that they start from, and the results that count."""

    name: Name
    description: str = ""
    inputs: dict[Name, Annotated[WorkflowInput, BeforeValidator(_input_from_literal)]] = Field(default_factory=dict)
    parameters: dict[Name, Annotated[Parameter, BeforeValidator(_parameter_from_literal)]] = Field(default_factory=dict)
    steps: dict[Name, Step] = Field(min_length=1)
    outputs: dict[Name, str] = Field(default_factory=dict)


def load_workflow(path: Path) -> tuple[Workflow, Document]:
    """The workflow in a file, and the document for telling where things stand. Raises InvalidWorkflowError."""
    document = load_document(path, InvalidWorkflowError)
    return validated(Workflow, document, error=InvalidWorkflowError), document
