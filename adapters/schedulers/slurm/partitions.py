"""What sinfo tells of the partitions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from adapters.schedulers.slurm.rows import cells
from adapters.schedulers.slurm.usage import parse_cpu_time
from orchestrator.ports import Argv, Partition

# Name, name with a star behind the default one, state, time limit, nodes as allocated/idle/other/total. Fields of -o
# without a width are as wide as they must be.
_COLUMNS = ("name", "starred", "state", "limit", "nodes")
COMMAND: Argv = ("sinfo", "-h", "-o", "%R|%P|%a|%l|%F")


def parse_partitions(text: str) -> Mapping[str, Partition]:
    """The partitions by name, after whatever a login shell said before; rows of one partition are added up."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        row = cells(line.strip(), columns=_COLUMNS)
        nodes = _nodes(row["nodes"]) if row else None
        if row is None or nodes is None:
            continue
        before = found.get(row["name"])
        found[row["name"]] = Partition(
            up=row["state"] == "up",
            native_state=row["state"],
            default=row["starred"] == f"{row['name']}*",
            time_limit=parse_limit(row["limit"]),
            nodes=nodes[1] + (before.nodes if before else 0),
            nodes_usable=nodes[0] + (before.nodes_usable if before else 0),
        )
    return found


def parse_limit(text: str) -> timedelta | None:
    """A partition's time limit; None for `infinite` and `n/a`.

    >>> parse_limit("1-00:00:00"), parse_limit("30:00"), parse_limit("infinite")
    (datetime.timedelta(days=1), datetime.timedelta(seconds=1800), None)
    """
    return parse_cpu_time(text)


def _nodes(text: str) -> tuple[int, int] | None:
    """(allocated or idle, all) from `allocated/idle/other/total`; None when it is something else.

    >>> _nodes("1/2/3/6"), _nodes("NODES(A/I/O/T)")
    ((3, 6), None)
    """
    parts = text.split("/")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        return None
    allocated, idle, _, total = map(int, parts)
    return allocated + idle, total
