"""A run as an RO-Crate: a folder that says in JSON-LD what was run on what, where, by whom, and what came out.

    graph.py      entities, each described once
    names.py      the `@id` of everything
    workflow.py   what was to be done: the workflow, its steps, tools and formal parameters
    actions.py    what was done: the run, its attempts and transfers
    crate.py      both together, written to a folder

Crates follow the Provenance Run Crate profile 0.5 (https://w3id.org/ro/wfrun/provenance/0.5) and by that Workflow Run
Crate, Process Run Crate and Workflow RO-Crate.
"""

from metadata.provenance.crate import write_crate

__all__ = ["write_crate"]
