"""Pins, rules, and what carrying them out does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from metadata.records import PinRecord, RuleRecord
from orchestrator.faces.cli.tables.style import sheet, titled
from orchestrator.operations import Upkeep, UpkeepPlan
from orchestrator.quantities import shown_duration, shown_size

_MOST = 100


def pins_view(pins: Sequence[PinRecord]) -> RenderableType:
    """One line a pin."""
    table = sheet("pinned", "at", wrapped=("pinned",))
    for pin in pins:
        table.add_row(Text(f"dataset://{pin.dataset}/{pin.path}".rstrip("/")), pin.site or "everywhere")
    return table if pins else Text("Nothing is pinned.", style="dim")


def rules_view(rules: Sequence[RuleRecord]) -> RenderableType:
    """One line a rule."""
    table = sheet("number", "target", "asks for", right=("number",), wrapped=("target", "asks for"))
    for rule in rules:
        table.add_row(str(rule.id), Text(rule.target), Text("; ".join(_asked(rule))))
    return table if rules else Text("There is no rule. Add one with: convoy data rule add", style="dim")


def _asked(rule: RuleRecord) -> list[str]:
    parts = [f"{rule.copies} cop{'y' if rule.copies == 1 else 'ies'}"] if rule.copies else []
    parts += [f"one at {word}" for word in rule.at]
    where = f" at {rule.site}" if rule.site else ""
    parts += [f"unused copies{where} may go after {shown_duration(rule.keep_s)}"] if rule.keep_s is not None else []
    return parts


def upkeep_plan_view(plan: UpkeepPlan) -> RenderableType:
    """What would be copied and removed, and why."""
    table = sheet("do", "what", "size", "at", "why", right=("size",), wrapped=("what", "why"))
    for new in plan.copies[:_MOST]:
        where = f"{new.source.site} → {new.site}"
        table.add_row("copy", Text(new.content.name), shown_size(new.content.size_bytes), where, Text(new.reason))
    for old in plan.removals[:_MOST]:
        table.add_row(
            Text("remove", style="yellow"), Text(old.content.name), shown_size(old.content.size_bytes), old.copy.site,
            Text(f"{old.reason}; stays at {', '.join(sorted({copy.site for copy in old.survivors}))}"),
        )  # fmt: skip
    for short in plan.shortfalls[:_MOST]:
        table.add_row(Text("cannot", style="bold red"), Text(short.content.name), "", "", Text(short.reason))
    left = sum(max(0, len(rows) - _MOST) for rows in (plan.copies, plan.removals, plan.shortfalls))
    total = Text(f"{_totals(plan)}{f'; {left} more rows, --json shows all' if left else ''}", style="dim")
    return Group(table, total) if table.row_count else Text("Every rule is met, and nothing is to go.", style="dim")


def _totals(plan: UpkeepPlan) -> str:
    copied = shown_size(sum(row.content.size_bytes for row in plan.copies))
    freed = shown_size(sum(row.content.size_bytes for row in plan.removals))
    return f"{len(plan.copies)} to copy ({copied}), {len(plan.removals)} to remove ({freed})"


def upkeep_view(found: Upkeep) -> RenderableType:
    """The plan, and what became of it."""
    if not found.done:
        return upkeep_plan_view(found.plan)
    bad = [row for row in found.carried if not row.good]
    arrived = len(found.carried) - len(bad)
    told = Text(f"done: {arrived} of {len(found.plan.copies)} copied, {len(found.removed)} of "
                f"{len(found.plan.removals)} removed")  # fmt: skip
    troubles = Text("\n".join(f"{row.name}: {row.error}" for row in bad[:_MOST]), style="red")
    return Group(upkeep_plan_view(found.plan), told, *([titled("Not copied", troubles)] if bad else []))
