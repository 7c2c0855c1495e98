"""Sites, and what was found when they were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.faces.cli.tables.style import facts, sheet
from orchestrator.operations import Finding, Identity, KeyDecision
from orchestrator.quantities import shown_size
from orchestrator.sites import Site, Slots


def sites_view(sites: Mapping[str, Site]) -> RenderableType:
    """One line a site."""
    table = sheet("site", "labels", "executor", "container", "slots", "description", wrapped=("description",))
    for name, site in sites.items():
        labels, slots = ", ".join(site.labels), shown_slots(site.slots)
        about = Text(site.description, style="dim")
        table.add_row(Text(name, style="bold"), labels, site.executes_by, site.container.type, slots, about)
    return table


def site_view(site: Site, *, name: str) -> RenderableType:
    """One site in full."""
    rows: dict[str, RenderableType | None] = {
        "description": site.description,
        "labels": ", ".join(site.labels),
        "executor": site.executes_by,
        "storage": site.storage.type,
        "container": site.container.type,
        "workdir": site.workdir,
        "slots": shown_slots(site.slots),
        "speed": f"{site.speed:g}",
        "environment": ", ".join(site.environment),
    }
    return Group(Text(name, style="bold"), facts(rows))


def shown_slots(slots: Slots) -> str:
    """What a site can give at one time."""
    parts = [
        f"{slots.cpus} CPUs" if slots.cpus else "",
        f"{slots.gpus} GPU" + "s" * (slots.gpus != 1) if slots.gpus else "",
        shown_size(slots.memory) if slots.memory else "",
    ]
    return ", ".join(part for part in parts if part)


_SIGNS = {True: Text("✓", style="green"), False: Text("✗", style="bold red"), None: Text("-", style="dim")}


def findings_view(findings: Sequence[Finding]) -> RenderableType:
    """One line a check; what to mend stands below the one that failed, and a dash before one that was not made."""
    table = sheet("", "check", "found", wrapped=("found",))
    for finding in findings:
        table.add_row(_SIGNS[finding.good], Text(finding.check, style="bold"), Text(finding.detail))
        if finding.advice and not finding.good:
            table.add_row("", "", Text(f"→ {finding.advice}", style="yellow"))
    return table


def decisions_view(decisions: Sequence[KeyDecision]) -> RenderableType:
    """A line for each host key, and where it is written to below it: a fingerprint must never be cut short."""
    if not decisions:
        return Text("Every host key on the way is trusted already.", style="dim")
    lines = []
    for row in decisions:
        sign = ("✓ ", "green") if row.trusted else ("✗ ", "bold red")
        lines.append(Text.assemble(sign, (row.key.host, "bold"), f"  {row.key.algorithm} {row.key.fingerprint}"))
        lines.append(Text(f"  {f'trusted by {row.key.file}' if row.trusted else 'not trusted'}", style="dim"))
    return Group(*lines)


def identity_view(identity: Identity) -> RenderableType:
    """Who one is at a site."""
    rows: dict[str, RenderableType | None] = {
        "user": identity.user,
        "groups": ", ".join(identity.groups),
        "machine": identity.host,
        "starts in": identity.directory,
    }
    return Group(Text.assemble(("✓ ", "green"), (identity.site, "bold")), facts(rows))
