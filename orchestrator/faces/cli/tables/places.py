"""Folders, and what became of data that went somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.lines import MOST_ROWS, carried_line
from orchestrator.faces.cli.tables.style import moment, sheet, titled
from orchestrator.operations import Carried, Entry, Named, Unwanted, Usage
from orchestrator.quantities import shown_size


def folder_view(entries: Sequence[Entry], *, long: bool) -> RenderableType:
    """One line an entry; with `long` also where its copies lie."""
    return _long_folder(entries) if long else _short_folder(entries)


def _short_folder(entries: Sequence[Entry]) -> RenderableType:
    table = sheet("size", "name", right=("size",), wrapped=("name",))
    for entry in entries:
        table.add_row(shown_size(entry.size_bytes), _name(entry))
    return table if entries else Text("It is empty.", style="dim")


def _long_folder(entries: Sequence[Entry]) -> RenderableType:
    table = sheet("files", "size", "sha256", "changed", "at", "name", right=("files", "size"), wrapped=("at", "name"))
    for entry in entries:
        digest = Text(f"{entry.sha256[:12]}…" if entry.sha256 else "-", style="dim")
        changed = moment(entry.modified_at)
        table.add_row(str(entry.files), shown_size(entry.size_bytes), digest, changed, _at(entry), _name(entry))
    return table if entries else Text("It is empty.", style="dim")


def _name(entry: Entry) -> Text:
    return Text(entry.name, style="bold" if entry.type == "folder" else "")


def _at(entry: Entry) -> Text:
    """The sites; how many of a folder's files where not all of them are there."""
    if not entry.sites:
        return Text("nowhere", style="bold red")
    return Text(", ".join(site if count == entry.files else f"{site} ({count})" for site, count in entry.sites.items()))


def usage_view(rows: Sequence[Usage]) -> RenderableType:
    """One line a folder."""
    table = sheet("files", "size", "content", "at", "name", right=("files", "size", "content"), wrapped=("at", "name"))
    for row in rows:
        unique = shown_size(row.unique_bytes)
        table.add_row(str(row.files), shown_size(row.size_bytes), unique, _shares(row.sites), Text(row.name))
    return table if rows else Text("There is no dataset. Add one with: convoy data add NAME PATH...", style="dim")


def _shares(sites: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{site} {shown_size(size)}" for site, size in sites.items()) or "nowhere")


def moved_view(rows: Sequence[Carried] | Sequence[Named]) -> RenderableType:
    """What has other names, or lies at other places."""
    named = [row for row in rows if isinstance(row, Named)]
    return _named_view(named) if named else carried_view([row for row in rows if isinstance(row, Carried)])


def _named_view(rows: Sequence[Named]) -> RenderableType:
    table = sheet("from", "to", wrapped=("from", "to"))
    for row in rows[:MOST_ROWS]:
        table.add_row(Text(row.source), Text(row.name))
    return _with_rest(table, len(rows))


def carried_view(rows: Sequence[Carried]) -> RenderableType:
    """What lies where now. Of many, those that failed."""
    bad = [row for row in rows if not row.good]
    table = sheet("", "what", "from", "at", "travelled", right=("travelled",), wrapped=("what", "at"))
    for row in rows if len(rows) <= MOST_ROWS else bad[:MOST_ROWS]:
        sign = Text("✓", style="green") if row.good else Text("✗", style="bold red")
        where = Text(f"{row.site}: {row.path}") if row.good else Text(str(row.error), style="red")
        table.add_row(sign, Text(row.name), row.source or "-", where, shown_size(row.bytes_moved))
    told = Text(carried_line(rows), style="dim")
    return Group(table, told) if table.row_count else told


def unwanted_view(found: Unwanted) -> RenderableType:
    """What goes, and what stays."""
    parts: list[RenderableType] = []
    if found.names:
        parts.append(titled(f"Names ({len(found.names)})", _listed(found.names)))
    if found.copies:
        where = [f"{copy.site}: {copy.path}" for copy in found.copies]
        parts.append(titled(f"Copies ({len(where)}, {shown_size(found.size_bytes)})", _listed(where)))
    if found.paths:
        parts.append(titled(f"Files ({len(found.paths)})", _listed([str(path) for path in found.paths])))
    if found.kept:
        parts.append(titled("What stays", _listed(found.kept)))
    return Group(*parts) if parts else Text("Nothing.", style="dim")


def _listed(rows: Sequence[str]) -> RenderableType:
    lines = list(rows[:MOST_ROWS])
    lines += [f"and {len(rows) - MOST_ROWS} more; --json shows all"] if len(rows) > MOST_ROWS else []
    return Text("\n".join(lines), overflow="fold")


def _with_rest(table: RenderableType, count: int) -> RenderableType:
    left = count - MOST_ROWS
    return Group(table, Text(f"and {left} more; --json shows all", style="dim")) if left > 0 else table
