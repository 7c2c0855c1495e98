"""Datasets: convoy data ...

words.py     names, --from-file and other arguments that several verbs take
looking.py   ls, show, find, du, cat, tag      moving.py   add, put, get, cp, mv, rm
checking.py  verify, watch                     keeping.py  pin, unpin, rule ..., apply
"""

from __future__ import annotations

import typer

from orchestrator.faces.cli.parts import late_group
from orchestrator.faces.cli.verbs import DATA, group

VERBS = {
    "looking": ("ls", "show", "find", "du", "cat", "tag"),
    "moving": ("add", "put", "get", "cp", "mv", "rm"),
    "checking": ("clean", "verify", "watch"),
    "keeping": ("pin", "unpin", "rule", "apply"),
}
"""Module -> the verbs and groups that it registers, in the order in which help shows them."""


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    about = "Add, find, move, fetch, check and keep data."
    group(app, "data", panel=DATA, about=about, cls=late_group(__package__, VERBS))
