"""Datasets: convoy data ...

words.py     names, --from-file and other arguments that several verbs take
looking.py   ls, show, find, du, cat, tag      moving.py   add, put, get, cp, mv, rm
checking.py  verify, watch                     keeping.py  pin, unpin, rule ..., apply
"""

from __future__ import annotations

import typer

from orchestrator.faces.cli.data import checking, keeping, looking, moving
from orchestrator.faces.cli.verbs import DATA, group


def register(app: typer.Typer) -> None:
    """The group is in the command."""
    data = group(app, "data", panel=DATA, about="Add, find, move, fetch, check and keep data.")
    for part in (looking, moving, checking, keeping):
        part.register(data)
