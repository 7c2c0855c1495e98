"""Rows as objects, for notebooks, portals and tests: a SQLModel class for each table of `metadata.tables`.

    with Session(workspace.database) as session:
        failed = session.exec(select(Task).where(Task.state == "FAILED")).all()

The tables say what there is, and a class only gives each column its type in Python; one that knows other columns than
its table is refused. No run needs this module: such classes take longer to make than a hundred tasks to submit.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlmodel import Field, SQLModel
from sqlmodel.main import SQLModelMetaclass

from metadata import tables

Document = dict[str, Any]


class _OfTable(SQLModelMetaclass):
    """Binds each field of a class to the column of the same name in its `__table__`."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> Any:
        table: Table | None = body.get("__table__")
        if table is not None:
            named, there = set(body["__annotations__"]), set(table.c.keys())
            if named != there:
                raise TypeError(f"{name} and the table {table.name} disagree about {', '.join(sorted(named ^ there))}")
            body = body | {column.name: _field(column) for column in table.c}
        return super().__new__(cls, name, bases, body, **options)


def _field(column: Column[Any]) -> Any:
    """Needed where the column is, and with the same default."""
    default = column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else None
    needed = default is None and not column.nullable and not column.primary_key
    return Field(sa_column=column) if needed else Field(default=default, sa_column=column)


class Row(SQLModel, metaclass=_OfTable):
    """A row of some table."""

    metadata = tables.METADATA


class Dataset(Row, table=True):
    """A named collection of files."""

    __table__ = tables.DATASETS
    id: int | None
    name: str
    description: str
    policy: Document | None
    created_at: float


class File(Row, table=True):
    """A file of a dataset."""

    __table__ = tables.FILES
    id: int | None
    dataset_id: int
    path: str
    size_bytes: int
    sha256: str
    media_type: str
    policy: Document | None
    created_at: float


class Replica(Row, table=True):
    """Some content that lies at a site."""

    __table__ = tables.REPLICAS
    id: int | None
    sha256: str
    size_bytes: int
    site: str
    path: str
    modified_ns: int | None
    verified_at: float
    inode: int | None


class Attribute(Row, table=True):
    """A fact about a dataset or about one of its files."""

    __table__ = tables.ATTRIBUTES
    id: int | None
    dataset_id: int
    file_id: int | None
    key: str
    number: float | None
    text: str | None
    items: list[Any] | None


class Run(Row, table=True):
    """One carrying-out of a plan."""

    __table__ = tables.RUNS
    id: str
    name: str
    state: str
    plan: Document
    fresh: bool
    wanted: str
    message: str
    created_at: float
    started_at: float | None
    ended_at: float | None


class Step(Row, table=True):
    """A step of a run."""

    __table__ = tables.STEPS
    id: int | None
    run_id: str
    position: int
    name: str
    site: str
    expanded: bool
    skipped: str


class Task(Row, table=True):
    """One element of a step's scatter."""

    __table__ = tables.TASKS
    id: int | None
    run_id: str
    step_id: int
    position: int
    label: str
    state: str
    inputs: Document
    parameters: Document
    outputs: Document | None
    content_key: str
    reused_from: str
    attempts: int
    not_before: float
    message: str


class Attempt(Row, table=True):
    """One submission of a task."""

    __table__ = tables.ATTEMPTS
    id: int | None
    run_id: str
    task_id: int
    number: int
    token: str
    site: str
    directory: str
    state: str
    native_id: str
    native_state: str
    node: str
    exit_code: int | None
    message: str
    resources: Document
    created_at: float
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None


class Transfer(Row, table=True):
    """Some content that a run brings to a site."""

    __table__ = tables.TRANSFERS
    id: int | None
    run_id: str
    step_id: int | None
    name: str
    sha256: str
    size_bytes: int
    source_site: str
    source_path: str
    destination_site: str
    destination_path: str
    mover: str
    state: str
    bytes_done: int
    bytes_moved: int
    attempts: int
    not_before: float
    message: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    direction: str
    streams: int
    credential: str


class Shipment(Row, table=True):
    """Bytes that a verb on data brings to places, outside any run."""

    __table__ = tables.SHIPMENTS
    id: str
    name: str
    source_site: str
    destination_site: str
    files: int
    size_bytes: int
    bytes_done: int
    state: str
    message: str
    host: str
    pid: int
    process_started_at: float
    heartbeat_at: float
    created_at: float
    ended_at: float | None


class Hold(Row, table=True):
    """What somebody wants to be moved later, or never."""

    __table__ = tables.HOLDS
    held: str
    wish: str
    made_at: float


class Job(Row, table=True):
    """A script that a person handed to a site, outside any run."""

    __table__ = tables.JOBS
    id: str
    owner: str
    site: str
    tag: str
    script: str
    directory: str
    folder: str
    resources: Document
    attributes: Document
    state: str
    native_id: str
    native_state: str
    node: str
    exit_code: int | None
    message: str
    usage: Document | None
    claimed_until: float
    created_at: float
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None


class LinkMeasurement(Row, table=True):
    """What one transfer told about the link between two sites."""

    __table__ = tables.LINK_MEASUREMENTS
    id: int | None
    source_site: str
    destination_site: str
    mover: str
    streams: int
    files: int
    size_bytes: int
    seconds: float
    measured_at: float
    direction: str


class Event(Row, table=True):
    """One line of a run's journal."""

    __table__ = tables.EVENTS
    id: int | None
    run_id: str
    at: float
    kind: str
    subject: str
    message: str


class Message(Row, table=True):
    """What somebody else is to be told and has not taken yet."""

    __table__ = tables.MESSAGES
    id: str
    run_id: str
    kind: str
    body: str
    created_at: float
    tries: int
    not_before: float
    trouble: str


class Lease(Row, table=True):
    """Which engine may act on this database."""

    __table__ = tables.LEASES
    id: int
    holder: str
    host: str
    pid: int
    process_started_at: float
    heartbeat_at: float


class Claim(Row, table=True):
    """Which process writes a file at a site now."""

    __table__ = tables.CLAIMS
    place: str
    holder: str
    host: str
    pid: int
    process_started_at: float
    heartbeat_at: float


class Rule(Row, table=True):
    """What shall hold for the copies of some files."""

    __table__ = tables.RULES
    id: int | None
    target: str
    copies: int | None
    at: list[Any] | None
    keep_s: float | None
    site: str
    created_at: float


class Pin(Row, table=True):
    """A dataset, or one of its files, whose copies nobody may take away."""

    __table__ = tables.PINS
    id: int | None
    dataset_id: int
    file_id: int | None
    site: str
    created_at: float


class Use(Row, table=True):
    """When some content was last used at a site."""

    __table__ = tables.USES
    sha256: str
    site: str
    used_at: float
