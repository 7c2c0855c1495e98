"""YAML files whose every value remembers its line and column, and their translation into models."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.parser import ParserError
from ruamel.yaml.scanner import ScannerError

from metadata.errors import InvalidInputError, NotFoundError, SourcePosition

Place = tuple[str | int, ...]
"""The way from a document's root to a value: mapping keys and list indices."""

Model = TypeVar("Model", bound=BaseModel)

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
"""What people call a part of a file."""

VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""What a shell can call a variable."""


class Strict(BaseModel):
    """A part of a file: words that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong at a place of a document."""

    place: Place
    message: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A YAML file as plain values."""

    file: str
    content: Any
    positions: Mapping[Place, SourcePosition]

    def position(self, place: Place) -> SourcePosition:
        """Where the value stands, or the nearest thing around it."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.positions:
                return self.positions[place[:length]]
        return SourcePosition(file=self.file)

    def refuse(self, problems: Sequence[Problem], error: type[InvalidInputError]) -> None:
        """Raises `error` with every problem on a line of its own, in the order of the file; no problem, no error."""
        if not problems:
            return
        located = sorted(
            ((self.position(p.place), p.message) for p in problems), key=lambda row: (row[0].line, row[0].column)
        )
        position, message = located[0]
        rest = "".join(f"\n{place}: {text}" for place, text in located[1:])
        raise error(message + rest, position=position)


def load_document(path: Path, error: type[InvalidInputError] = InvalidInputError) -> Document:
    """The YAML file at `path`. Raises NotFoundError, or `error` at the place of the fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise NotFoundError(f"there is no file {path}") from missing
    except OSError as fault:
        raise error(f"cannot read {path}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise error(f"cannot read {path}: it is no text in UTF-8, from its byte {fault.start} on") from fault
    return parse_document(text, file=str(path), error=error)


def parse_document(text: str, *, file: str, error: type[InvalidInputError] = InvalidInputError) -> Document:
    """The document in `text`; `file` is the name that errors show."""
    try:
        tree = YAML(typ="rt").load(text)
    except MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        position = SourcePosition(file=file, line=mark.line + 1, column=mark.column + 1) if mark else None
        raise error(f"this is not valid YAML: {_reason(fault)}", position=position) from fault
    except YAMLError as fault:
        raise error(f"this is not valid YAML: {fault}", position=SourcePosition(file=file)) from fault
    positions: dict[Place, SourcePosition] = {(): SourcePosition(file=file)}
    return Document(file=file, content=_plain(tree, (), positions, file), positions=positions)


def _reason(fault: MarkedYAMLError) -> str:
    """What the parser says, and where that began which it could not end."""
    reason = str(fault.problem or fault.context).splitlines()[0]
    begin, end = fault.context_mark, fault.problem_mark
    if "'\\t'" in reason:
        return f"{reason}; indent with spaces"
    if begin and end and begin.line < end.line and isinstance(fault, ParserError | ScannerError):
        return f"{reason}, {fault.context} that begins at {begin.line + 1}:{begin.column + 1}"
    return reason


def _plain(node: Any, place: Place, positions: dict[Place, SourcePosition], file: str) -> Any:
    """The node as plain dicts and lists; fills `positions` on its way."""
    if isinstance(node, CommentedMap):
        for key in node:
            if key not in node.lc.data:
                continue  # it came with a merged mapping, which stands elsewhere
            line, column = node.lc.key(key)
            positions[(*place, key)] = SourcePosition(file=file, line=line + 1, column=column + 1)
        return {key: _plain(value, (*place, key), positions, file) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            line, column = node.lc.item(index)
            positions[(*place, index)] = SourcePosition(file=file, line=line + 1, column=column + 1)
        return [_plain(value, (*place, index), positions, file) for index, value in enumerate(node)]
    return node


def validated(model: type[Model], document: Document, *, error: type[InvalidInputError]) -> Model:
    """The document as a `model`. Raises `error` naming every fault with its line, and the word that was meant."""
    if not isinstance(document.content, dict):
        raise error("a mapping was expected here, with `key: value` lines", position=document.position(()))
    try:
        return model.model_validate(document.content)
    except ValidationError as fault:
        problems = [_problem(item, model, document.content) for item in fault.errors()]
        document.refuse(problems, error)
        raise


_MESSAGES = {
    "dict_type": "a mapping was expected here, with `key: value` lines",
    "model_type": "a mapping was expected here, with `key: value` lines",
    "list_type": "a list was expected here",
    "tuple_type": "a list was expected here",
    "int_parsing": "a whole number was expected here",
}
"""What pydantic says in words of Python, by the kind of the fault."""


def _problem(item: Any, model: type[BaseModel], content: Any) -> Problem:
    place = _place_in(content, item["loc"])
    if item["type"] == "extra_forbidden":
        key = str(item["loc"][-1])
        known = _fields_at(model, place[:-1])
        return Problem(place=place, message=f"{key!r} is not known here{did_you_mean(key, known)}")
    if item["type"] == "missing":
        return Problem(place=place, message=f"{item['loc'][-1]!r} is missing")
    message = _MESSAGES.get(item["type"]) or item["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(item["input"], (dict, list)) else f" (found {item['input']!r})"
    return Problem(place=place, message=f"{'.'.join(map(str, place))}: {message}{shown}")


def _place_in(content: Any, location: Iterable[str | int]) -> Place:
    """Pydantic's location without the names of union members, which the author of the file never wrote."""
    place: list[str | int] = []
    for part in location:
        is_index = isinstance(content, list) and isinstance(part, int) and part < len(content)
        if is_index or (isinstance(content, dict) and part in content):
            content = content[part]
        else:
            continue
        place.append(part)
    return tuple(place)


def _fields_at(model: type[BaseModel], place: Place) -> set[str]:
    """The keys that may stand at a place of a model's document."""
    found: list[Any] = [model]
    for part in place:
        found = [inner for annotation in found for inner in _inside(annotation, part)]
    return {field.alias or name for kind in _models(found) for name, field in kind.model_fields.items()}


def _inside(annotation: Any, part: str | int) -> list[Any]:
    found: list[Any] = []
    for kind in _alternatives(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            by_key = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
            found += [by_key[part]] if part in by_key else []
        elif get_origin(kind) in (dict, list, tuple, Mapping, Sequence):
            found += [get_args(kind)[-1]]
    return found


def _models(annotations: Iterable[Any]) -> list[type[BaseModel]]:
    kinds = [kind for annotation in annotations for kind in _alternatives(annotation)]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _alternatives(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _alternatives(member)]
    if origin is not None and getattr(annotation, "__metadata__", None):
        return _alternatives(get_args(annotation)[0])
    return [annotation]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that refuses a word: the nearest known one, or all of them.

    >>> did_you_mean("comand", ["command", "image"])
    '; did you mean command?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are: {', '.join(names)}" if names else ""
