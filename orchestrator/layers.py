"""Use cases as their `usecase.yaml` describes them. They are read as data; their code is never imported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field

from metadata.errors import InvalidInputError, NotFoundError
from orchestrator.documents import Name, Strict, did_you_mean, load_document, validated
from orchestrator.workflows import FileType, Output, Parameter, Resources

BUNDLED = Path(__file__).resolve().parent.parent / "usecases"
"""The use cases that come with Convoy."""


class LayerInput(Strict):
    """A file that a layer reads."""

    type: FileType
    optional: bool = False
    option: str | None = None
    """The command-line option that takes it; `--<name>` when left out."""
    description: str = ""


class LayerParameter(Parameter):
    """A value that a layer takes."""

    option: str | None = None


class Layer(Strict):
    """One program of a use case: a plain command line."""

    summary: str
    command: list[str] = Field(min_length=1)
    inputs: dict[Name, LayerInput] = Field(default_factory=dict)
    parameters: dict[Name, LayerParameter] = Field(default_factory=dict)
    outputs: dict[Name, Output] = Field(default_factory=dict)
    image: str | None = None
    launcher: list[str] = Field(default_factory=list)
    """Words before the command when several processes run in the image; `{{resources.processes}}` is how many.

    It starts them on one machine, so such a layer takes one node only.
    """
    resources: Resources = Field(default_factory=Resources)


class Demo(Strict):
    """What shows the use case to a stranger: a program that makes data, and a workflow that uses them."""

    command: list[str]
    workflow: str


class UseCase(Strict):
    """A use case: layers that belong together."""

    name: Name
    title: str
    description: str = ""
    layers: dict[Name, Layer] = Field(min_length=1)
    demo: Demo | None = None

    @property
    def folder(self) -> Path:
        """Where its files lie on this machine."""
        return BUNDLED / self.name


def usecase_names() -> list[str]:
    """The use cases that are there, sorted."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/usecase.yaml"))


def load_usecase(name: str) -> UseCase:
    """The use case with this name. Raises NotFoundError, or InvalidInputError when its description is wrong."""
    path = BUNDLED / name / "usecase.yaml"
    if not path.is_file():
        raise NotFoundError(f"there is no use case {name!r}{did_you_mean(name, usecase_names())}")
    return validated(UseCase, load_document(path), error=InvalidInputError)


def load_layer(name: str) -> tuple[Layer, UseCase]:
    """The layer `<use case>/<layer>`. Raises NotFoundError with what was meant."""
    usecase_name, _, layer_name = name.partition("/")
    usecase = load_usecase(usecase_name)
    if layer_name not in usecase.layers:
        known = [f"{usecase_name}/{layer}" for layer in usecase.layers]
        raise NotFoundError(f"the use case {usecase_name} has no layer {layer_name!r}{did_you_mean(name, known)}")
    return usecase.layers[layer_name], usecase


def code_digest(folder: Path) -> str:
    """A hash of a use case's program text: what stands for the image's digest where a step runs on the host.

    A changed program therefore never takes over the results of its former self. What lies beside the folders of use
    cases is shared by all of them, and counts for each.
    """
    digest = hashlib.sha256()
    for path in (*sorted(folder.parent.glob("*.py")), *sorted(folder.rglob("*.py"))):
        digest.update(str(path.relative_to(folder.parent)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
