"""The small language inside a workflow file: references, `{{templates}}` and conditions. Pure."""

from __future__ import annotations

import ast
import operator
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_REFERENCE = re.compile(rf"({_NAME})\.({_NAME})")
_TEMPLATE = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """`inputs.slides`, `params.seed`, or an output of a step such as `extract.patches`."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


def parse_reference(text: str) -> Reference | None:
    """The reference that `text` is; None when it is something else."""
    match = _REFERENCE.fullmatch(text.strip())
    return Reference(owner=match[1], name=match[2]) if match else None


def names_in(text: str) -> list[str]:
    """The names between double braces, in order.

    >>> names_in("run --seed {{params.seed}} {{ inputs.slide }}")
    ['params.seed', 'inputs.slide']
    """
    return _TEMPLATE.findall(text)


_SHELL_PIECE = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)


def quoted_names(text: str) -> list[str]:
    """The templates of a shell text that stand between its author's own quotes, where a quoted value would come apart.

    >>> quoted_names('echo "{{inputs.x}}" {{inputs.y}}')
    ['inputs.x']
    """
    return [name for piece in _SHELL_PIECE.findall(text) for name in _TEMPLATE.findall(piece)]


def filled(text: str, values: Mapping[str, Any], *, quoted: bool = False) -> Any:
    """`text` with its templates replaced. A text that is one template gives the value itself, with its type.

    With `quoted`, values become words of a shell command, lists become several. Raises KeyError for a name that
    `values` lacks.
    """
    whole = _TEMPLATE.fullmatch(text.strip())
    if whole and not quoted:
        return values[whole[1]]
    shown = _shell_words if quoted else _plain_words
    return _TEMPLATE.sub(lambda match: shown(values[match[1]]), text)


def _plain_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _shell_words(value: Any) -> str:
    return shlex.join(map(str, value)) if isinstance(value, (list, tuple)) else shlex.quote(str(value))


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip


def holds(condition: str | bool, parameters: Mapping[str, Any]) -> bool:
    """Whether a step's `when:` is true, such as `params.epochs > 0 and not params.quick`.

    Only parameters, literals, comparisons and `and`, `or`, `not` may stand in it. Raises ValueError otherwise.
    """
    if isinstance(condition, bool):
        return condition
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
        return bool(_value(tree, parameters))
    except (RecursionError, MemoryError) as error:
        raise ValueError("the condition is nested too deep") from error
    except SyntaxError as error:
        raise ValueError(f"the condition {condition!r} cannot be read at its character {error.offset}") from error
    except TypeError as error:
        raise ValueError(f"the condition {condition!r} compares things that cannot be compared: {error}") from error


def _value(node: ast.expr, parameters: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - one case, one line
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, parameters) for element in elements]
        case ast.Attribute(value=ast.Name(id="params"), attr=name):
            return _parameter(name, parameters)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=ast.UAdd(), operand=ast.Constant(value=int() | float() as number)):
            return number
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, parameters)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, parameters) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_value(value, parameters) for value in values)
        case ast.Compare():
            return _compared(node, parameters)
    raise ValueError(
        f"{ast.unparse(node)!r} may not stand in a condition; only params.NAME, literals, comparisons, and/or/not may"
    )


def _compared(node: ast.Compare, parameters: Mapping[str, Any]) -> bool:
    left = _value(node.left, parameters)
    for sign, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node, parameters)
        if type(sign) not in _COMPARISONS:
            raise ValueError("only == != < <= > >= in compare values in a condition")
        if not _COMPARISONS[type(sign)](left, right):
            return False
        left = right
    return True


def _parameter(name: str, parameters: Mapping[str, Any]) -> Any:
    if name not in parameters:
        raise ValueError(f"there is no parameter {name!r}; known are: {', '.join(sorted(parameters)) or 'none'}")
    return parameters[name]
