"""What stays and what goes: data pin, unpin, rule ..., apply."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator import operations
from orchestrator.faces.cli import completions, tables
from orchestrator.faces.cli.counting import Counter
from orchestrator.faces.cli.data.words import FromFile, Names, OnlySite, Yes, confirmed, names_given
from orchestrator.faces.cli.terminal import Terminal
from orchestrator.faces.cli.values import parse_seconds
from orchestrator.faces.cli.verbs import flag, group, several, verb
from orchestrator.faces.exit_codes import FAILED


def register(data: typer.Typer) -> None:
    """The verbs are in the group."""
    verb(data, examples=["convoy data pin camelyon17", "convoy data pin study/a.tif --site agh"])(pin)
    verb(data, examples=["convoy data unpin camelyon17"])(unpin)
    rules = group(data, "rule", panel=None, about="Say how many copies there shall be, where, and how long.")
    added = [
        "convoy data rule add 'camelyon*' --copies 2 --at tape   # two copies, one at a tape site",
        "convoy data rule add 'run-*' --keep 30d --site agh      # what nobody used for 30 days may go there",
    ]
    verb(rules, "add", examples=added)(add_rule)
    verb(rules, "ls")(list_rules)
    verb(rules, "rm", examples=["convoy data rule rm 3"])(remove_rule)
    verb(data, examples=["convoy data apply --dry-run", "convoy data apply --yes"])(apply)


def pin(
    terminal: Terminal,
    *,
    names: Names = None,
    site: OnlySite = None,
    from_file: FromFile = None,
    listed: Annotated[bool, flag("--list", about="Only show the pins; all of them without names.")] = False,
) -> None:
    """Keep data: neither their names nor their copies go until they are unpinned. Shows the pins.

    A pinned dataset keeps whatever is added to it later, too; a pinned folder keeps the files that are in it now.
    """
    wanted = names_given(names, from_file, least=0 if listed else 1)
    if not listed:
        operations.pin_data(terminal.workspace, wanted, site=site)
    terminal.answer(operations.list_pins(terminal.workspace, wanted), tables.pins_view)


def unpin(terminal: Terminal, *, names: Names = None, site: OnlySite = None, from_file: FromFile = None) -> None:
    """Take a pin away, and show those that are left."""
    left = operations.unpin_data(terminal.workspace, names_given(names, from_file), site=site)
    terminal.answer(left, tables.pins_view)


def add_rule(
    terminal: Terminal,
    *,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A pattern for datasets, and behind a slash for files.",
            autocompletion=completions.names,
        ),
    ],
    copies: Annotated[int | None, typer.Option("--copies", min=1, help="At so many sites at least.")] = None,
    at: Annotated[
        list[str] | None,
        several("--at", metavar="PLACE", about="One copy at a site of this name or label"),
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="TIME", help="Copies unused for longer may go: 30d.")
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="PLACE", help="Where --keep holds: a name or label.")
    ] = None,
) -> None:
    """Add a rule for copies. Nothing happens until: convoy data apply."""
    keep_s = parse_seconds(keep, option="--keep") if keep else None
    made = operations.add_rule(terminal.workspace, target, copies=copies, at=at or (), keep_s=keep_s, site=site)
    terminal.answer(made, lambda rule: tables.rules_view([rule]))


def list_rules(terminal: Terminal) -> None:
    """List the rules."""
    terminal.answer(operations.list_rules(terminal.workspace), tables.rules_view)


def remove_rule(
    terminal: Terminal, number: Annotated[int, typer.Argument(metavar="NUMBER", help="As ls shows it.")]
) -> None:
    """Remove a rule, and show those that are left."""
    operations.remove_rule(terminal.workspace, number)
    terminal.answer(operations.list_rules(terminal.workspace), tables.rules_view)


def apply(
    terminal: Terminal,
    *,
    dry_run: Annotated[bool, flag("--dry-run", "-n", about="Only show what would be done.")] = False,
    yes: Yes = False,
) -> None:
    """Carry the rules out: make the copies that they ask for, then remove those that nothing asks for.

    What goes is Convoy's own, unpinned, unused for as long as a rule says, needed by no run that has not ended, and
    was seen to have another copy. Exits with 1 when a rule cannot be met, or after a no.
    """
    ask = confirmed(terminal, tables.upkeep_plan_view, "Do this?", yes=yes)
    with Counter(terminal, "copied") as counter:
        found = operations.apply_rules(
            terminal.workspace, confirm=(lambda _: False) if dry_run else ask, progress=counter
        )
    terminal.answer(found, tables.upkeep_view)
    if not found.good or not (found.done or dry_run):
        raise typer.Exit(FAILED.exit_code)
