"""The command `convoy`.

__main__.py     the process: how it starts and ends
main.py         the command itself: global options
parts.py        which module below has which verbs: only the one that is asked for is imported
verbs.py        what every verb has: a terminal, --json, --quiet, --verbose
terminal.py     where words go
faults.py       errors into messages and exit codes
words.py        arguments and options that several verbs take
values.py       `name=value` and the like, from text
completions.py  names for the shell

starting.py     init, check, plan, schema          looking.py   ls, show, logs, report
runs.py         run, resume, retry, cancel         data/        data ...
usecases.py     usecase ..., demo-data             sites.py     site ...
jobs.py         job ...                            images.py    image ...
benchmarks.py   bench ...                          sandbox.py   sandbox ...

following.py    shows a run while it goes on: live.py on a terminal, plain.py elsewhere; how fast it goes: rates.py
endings.py      how a run ended, in words
background.py   lets a run go on without a terminal
logs.py         what tasks wrote, as it stands or as it grows
counting.py     how far a long reading of files has come
tables/         how answers look
"""

from __future__ import annotations

import importlib.util
import sys

_LATE = (
    "orchestrator.quantities",
    "orchestrator.faces.cli.live",
)


def _import_late(name: str) -> None:
    """The module is there for `from ... import`, and is read from disk when something in it is first used.

    A verb that needs no database, and the shell's TAB, answer several times faster so.
    """
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


for _name in _LATE:
    _import_late(_name)
