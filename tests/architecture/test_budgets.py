"""Files and functions stay small, and names say something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("adapters", "metadata", "orchestrator", "staging", "usecases")
EMPTY_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "base",
    "manager",
    "handle",
    "process",
    "data",
    "info",
    "stuff",
    "tools",
}
"""Alone they say nothing of what a thing is."""

VERBS = ("orchestrator/operations/data", "orchestrator/faces/cli/data", "orchestrator/faces/filesystem.py")
"""`data` is what people type there: `convoy data add`; and fsspec has a method `info`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*packages: str) -> list[Path]:
    """The Python files of packages, relative to the project."""
    return [path.relative_to(ROOT) for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def lines(path: Path) -> int:
    """How long a file is."""
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, methods and inner ones too."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """A function's lines without its docstring."""
    documented = ast.get_docstring(function) is not None
    first = function.body[0]
    return (
        (function.end_lineno or 0)
        - function.lineno
        + 1
        - ((first.end_lineno or 0) - first.lineno + 1 if documented else 0)
    )


def everything() -> list[tuple[int, str]]:
    """Every function of the packages with its length."""
    return [
        (length(function), f"{path}:{function.lineno} {function.name}")
        for path in modules(*PACKAGES)
        for function in functions(path)
    ]


def test_no_file_has_more_than_500_lines() -> None:
    """What is longer is two things."""
    assert [str(path) for path in modules(*PACKAGES, "tests", "benchmarks") if lines(path) > 500] == []


def test_most_files_are_short() -> None:
    """Half of them have at most 150 lines."""
    assert median(lines(path) for path in modules(*PACKAGES)) <= 150


def test_most_functions_are_short_and_hardly_any_is_long() -> None:
    """Half have at most 8 lines, nine of ten at most 25, and one of a hundred more than 50."""
    found = everything()
    sizes = [size for size, _ in found]
    assert median(sizes) <= 8
    assert quantiles(sizes, n=10)[-1] <= 25
    longest = [row for row in sorted(found, reverse=True) if row[0] > 50]
    assert len(longest) <= len(found) / 100, longest


def named(path: Path) -> set[str]:
    """The names of a module, its folder and its functions."""
    return {path.stem, path.parent.name, *(function.name for function in functions(path))}


def test_names_of_modules_and_functions_say_something() -> None:
    """`utils` and its like hold whatever nobody knew a place for."""
    ours = [path for path in modules(*PACKAGES) if not str(path).startswith(VERBS)]
    assert {str(path): found for path in ours if (found := named(path) & EMPTY_NAMES)} == {}


def test_every_test_is_named_by_a_sentence() -> None:
    """What fails is told in words then."""
    tests = [
        function.name for path in modules("tests") for function in functions(path) if function.name.startswith("test_")
    ]
    assert [name for name in tests if name.count("_") < 3] == []


def test_tests_wait_for_conditions_and_never_for_a_while() -> None:
    """`time.sleep` stands only inside a loop that asks again."""
    loops = (ast.While, ast.For)
    blind = []
    for path in modules("tests/unit", "tests/contract", "tests/acceptance"):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        inside = {id(node) for loop in ast.walk(tree) if isinstance(loop, loops) for node in ast.walk(loop)}
        calls = [
            node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"
        ]
        blind += [f"{path}:{call.lineno}" for call in calls if id(call) not in inside]
    assert blind == []
