"""Datasets, their files, and whether these are what they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from metadata.records import DatasetRecord, FileRecord
from orchestrator.faces.cli.tables.style import facts, moment, sheet, shown_value, titled
from orchestrator.operations import DatasetView, Orphan, Verification
from orchestrator.quantities import shown_size

_MOST_FILES = 100
_MOST_COPIES = 20


def datasets_view(datasets: Sequence[DatasetRecord]) -> RenderableType:
    """One line a dataset."""
    if not datasets:
        return Text("There is no such dataset. Add one with: convoy data add NAME PATH...", style="dim")
    table = sheet(
        "dataset", "files", "size", "policy", "description", right=("files", "size"), wrapped=("policy", "description")
    )
    for row in datasets:
        policy = str(row.policy) if row.policy.restricted else ""
        about = Text(row.description, style="dim")
        table.add_row(Text(row.name, style="bold"), str(row.file_count), shown_size(row.size_bytes), policy, about)
    return table


def dataset_view(view: DatasetView) -> RenderableType:
    """A dataset with its files and their copies."""
    row = view.dataset
    head = facts(
        {
            "description": row.description,
            "size": f"{row.file_count} files, {shown_size(row.size_bytes)}",
            "policy": str(row.policy),
            "made": moment(row.created_at),
            **{name: shown_value(value) for name, value in row.attributes.items()},
        }
    )
    return Group(Text(f"dataset://{row.name}", style="bold"), head, titled("Files", _files(view)))


def _files(view: DatasetView) -> RenderableType:
    table = sheet("file", "size", "sha256", "at", "attributes", right=("size",), wrapped=("file", "attributes"))
    for item in view.files[:_MOST_FILES]:
        places = ", ".join(sorted({copy.site for copy in item.replicas}))
        tags = ", ".join(f"{name}={shown_value(value)}" for name, value in item.attributes.items())
        at = Text(places) if places else Text("nowhere", style="bold red")
        digest = Text(f"{item.file.sha256[:12]}…", style="dim")
        table.add_row(Text(item.file.path), shown_size(item.file.size_bytes), digest, at, Text(tags))
    left = len(view.files) - _MOST_FILES
    return Group(table, Text(f"and {left} more; --json shows all", style="dim")) if left > 0 else table


def found_view(found: Sequence[FileRecord] | Sequence[DatasetRecord]) -> RenderableType:
    """What a search found, by the names that every verb takes."""
    if not found:
        return Text("Nothing fits.", style="dim")
    table = sheet("name", "size", right=("size",), wrapped=("name",))
    for row in found:
        name = f"dataset://{row.dataset}/{row.path}" if isinstance(row, FileRecord) else f"dataset://{row.name}"
        table.add_row(Text(name), shown_size(row.size_bytes))
    return table


def verification_view(rows: Sequence[Verification]) -> RenderableType:
    """One line a copy; where there are many, only what is wrong and how many are right."""
    bad = [row for row in rows if not row.good]
    table = sheet("", "file", "at", "found", wrapped=("file", "found"))
    for row in rows if len(rows) <= _MOST_COPIES else [row for row in rows if not row.good or row.repaired]:
        sign = Text("✓", style="green") if row.good else Text("✗", style="bold red")
        table.add_row(sign, Text(row.file), row.site or "-", Text(row.detail, style="dim" if row.good else "red"))
    repaired = sum(row.repaired for row in rows)
    told = f"{len(rows) - len(bad)} of {len(rows)} copies are right" + (
        f", {repaired} of them again" if repaired else ""
    )
    return Group(table, Text(told, style="dim")) if table.row_count else Text(told)


def orphans_view(rows: Sequence[Orphan]) -> RenderableType:
    """How much was removed at each site, and which sites could not be looked at."""
    if not rows:
        return Text("There was nothing to remove; what was written lately is left alone.", style="dim")
    table = sheet("site", "files", "size", "trouble", right=("files", "size"), wrapped=("trouble",))
    for site in sorted({row.site for row in rows}):
        mine = [row for row in rows if row.site == site]
        trouble = "; ".join(row.trouble for row in mine if row.trouble)
        removed = [row for row in mine if not row.trouble]
        size = sum(row.size_bytes for row in removed)
        table.add_row(site, str(len(removed)), shown_size(size), Text(trouble, style="red"))
    return table


def values_view(values: Mapping[str, Any]) -> RenderableType:
    """Names and values."""
    return facts({name: shown_value(value) for name, value in values.items()}) if values else Text("none", style="dim")


def paths_view(paths: Sequence[Path]) -> RenderableType:
    """One line a path, never broken: people copy them."""
    return Text("\n".join(map(str, paths)), overflow="ignore", no_wrap=True)
