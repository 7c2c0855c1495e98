"""The tables of the catalogue and of the journal.

Times are seconds since the epoch (UTC), sizes are bytes, and `sha256` is 64 lower-case hexadecimal digits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

# SQLite numbers rows by itself only for a column of exactly this type; PostgreSQL needs the wide one.
_RowId = BigInteger().with_variant(Integer, "sqlite")


def _key() -> Any:
    return Field(default=None, sa_column=Column(_RowId, primary_key=True, autoincrement=True))


def _owner(target: str, *, nullable: bool = False) -> Any:
    column = Column(_RowId, ForeignKey(target, ondelete="CASCADE"), nullable=nullable, index=True)
    return Field(default=None, sa_column=column)


def _document(*, nullable: bool = False) -> Any:
    # Where None is allowed it is SQL's NULL and not JSON's null, so that `IS NULL` finds it.
    return Field(default=None, sa_column=Column(JSON(none_as_null=nullable), nullable=nullable))


def _bytes() -> Any:
    return Field(default=0, sa_column=Column(BigInteger, nullable=False, default=0))


def _text() -> Any:
    return Field(default="", sa_column=Column(Text, nullable=False, default=""))


class Dataset(SQLModel, table=True):
    """A named collection of files."""

    __tablename__ = "datasets"
    id: int | None = _key()
    name: str = Field(unique=True, index=True)
    description: str = _text()
    policy: dict[str, Any] | None = _document(nullable=True)
    """`metadata.policy.Policy` as JSON; None lets the data go anywhere."""
    created_at: float


class File(SQLModel, table=True):
    """A file of a dataset: a name for some content."""

    __tablename__ = "files"
    __table_args__ = (UniqueConstraint("dataset_id", "path"), Index("ix_files_sha256", "sha256"))
    id: int | None = _key()
    dataset_id: int = _owner("datasets.id")
    path: str
    """Relative to the dataset, with `/` between its parts."""
    size_bytes: int = _bytes()
    sha256: str
    media_type: str = ""
    policy: dict[str, Any] | None = _document(nullable=True)
    """What a result inherited from the inputs that it was made of; added to its dataset's own policy."""
    created_at: float


class Replica(SQLModel, table=True):
    """Some content that lies at a site."""

    __tablename__ = "replicas"
    __table_args__ = (UniqueConstraint("site", "path"), Index("ix_replicas_sha256_site", "sha256", "site"))
    id: int | None = _key()
    sha256: str
    size_bytes: int = _bytes()
    site: str
    path: str
    modified_ns: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    """The file's time when it was hashed: with its size a cheap sign of a later change."""
    verified_at: float
    inode: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    """The file's number then: another file of the same size and time has another one."""


class Attribute(SQLModel, table=True):
    """A fact about a dataset (`file_id` is None) or about one of its files. One of the three values is set."""

    __tablename__ = "attributes"
    __table_args__ = (Index("ix_attributes_key_number", "key", "number"),)
    id: int | None = _key()
    dataset_id: int = _owner("datasets.id")
    file_id: int | None = _owner("files.id", nullable=True)
    key: str
    number: float | None = None
    text: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    items: list[Any] | None = _document(nullable=True)


class Run(SQLModel, table=True):
    """One carrying-out of a plan."""

    __tablename__ = "runs"
    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    state: str = Field(index=True)
    plan: dict[str, Any] = _document()
    fresh: bool = False
    """True when results of earlier runs shall not be reused."""
    wanted: str = "run"
    """What people want of it: `run` or `cancel`. The engine looks at every tick."""
    message: str = _text()
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None


class Step(SQLModel, table=True):
    """A step of a run."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "name"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="runs.id", index=True)
    position: int
    name: str
    site: str
    expanded: bool = False
    """True once its tasks are known and written."""
    skipped: str = _text()
    """Why it does not run; empty when it does."""


class Task(SQLModel, table=True):
    """One element of a step's scatter; a step without scatter has one."""

    __tablename__ = "tasks"
    __table_args__ = (UniqueConstraint("step_id", "position"), Index("ix_tasks_run_state", "run_id", "state"))
    id: int | None = _key()
    run_id: str = Field(foreign_key="runs.id")
    step_id: int = _owner("steps.id")
    position: int
    label: str = ""
    """The element that it works on, for people."""
    state: str
    inputs: dict[str, Any] = _document()
    """Input name -> file or list of files, as `{name, sha256, size_bytes}`."""
    parameters: dict[str, Any] = _document()
    outputs: dict[str, Any] | None = _document(nullable=True)
    """Output name -> list of `{name, sha256, size_bytes, path}`."""
    content_key: str = Field(default="", index=True)
    """Hash of image, command, parameters and inputs: equal keys give equal results."""
    reused_from: str = ""
    """The attempt whose results were taken over."""
    attempts: int = 0
    not_before: float = 0.0
    """A retry waits until then."""
    message: str = _text()


class Attempt(SQLModel, table=True):
    """One submission of a task. Written before the site is asked."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("token"), Index("ix_attempts_run_state", "run_id", "state"))
    id: int | None = _key()
    run_id: str = Field(foreign_key="runs.id")
    task_id: int = _owner("tasks.id")
    number: int
    token: str
    site: str
    directory: str
    state: str
    native_id: str = ""
    native_state: str = ""
    node: str = ""
    exit_code: int | None = None
    message: str = _text()
    resources: dict[str, Any] = _document()
    created_at: float
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None


class Transfer(SQLModel, table=True):
    """Some content that a run brings to a site. Written before a byte moves."""

    __tablename__ = "transfers"
    __table_args__ = (UniqueConstraint("run_id", "sha256", "destination_site"),)
    id: int | None = _key()
    run_id: str = Field(foreign_key="runs.id", index=True)
    step_id: int | None = _owner("steps.id", nullable=True)
    """The step that first asked for it."""
    name: str
    sha256: str
    size_bytes: int = _bytes()
    source_site: str
    source_path: str
    destination_site: str
    destination_path: str
    mover: str
    state: str
    bytes_done: int = _bytes()
    bytes_moved: int = _bytes()
    """Bytes that really travelled, over all attempts; less than the size when content was resumed."""
    attempts: int = 0
    not_before: float = 0.0
    message: str = _text()
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    direction: str = ""
    """`push`, `pull`, `third-party`, `relay` or `local`."""
    streams: int = 1
    credential: str = ""
    """By what right the sites talked to each other."""


class Job(SQLModel, table=True):
    """A script that a person handed to a site, outside any run. Written before the site is asked."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_owner_created_at", "owner", "created_at"),)
    id: str = Field(primary_key=True)
    """The token that it carries at its site, too."""
    owner: str
    """Whoever handed it in: nobody else is told that it exists."""
    site: str
    tag: str = ""
    script: str = _text()
    directory: str
    """Where it runs."""
    folder: str
    """Where its script and its output lie."""
    resources: dict[str, Any] = _document()
    attributes: dict[str, Any] = _document()
    state: str
    native_id: str = ""
    native_state: str = ""
    node: str = ""
    exit_code: int | None = None
    message: str = _text()
    usage: dict[str, Any] | None = _document(nullable=True)
    """What the site's accounting counted; None until it has told."""
    claimed_until: float = 0.0
    """Until then a process may be submitting it, and no other one does."""
    created_at: float
    submitted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None


class LinkMeasurement(SQLModel, table=True):
    """What one transfer told about the link between two sites."""

    __tablename__ = "link_measurements"
    __table_args__ = (Index("ix_link_measurements_pair", "source_site", "destination_site"),)
    id: int | None = _key()
    source_site: str
    destination_site: str
    mover: str
    streams: int = 1
    files: int = 1
    size_bytes: int = _bytes()
    seconds: float
    measured_at: float
    direction: str = ""
    """Empty where the measurement is older than directions."""


class Event(SQLModel, table=True):
    """One line of a run's journal: a decision, written before it is acted on, or an observation."""

    __tablename__ = "events"
    id: int | None = _key()
    run_id: str = Field(index=True)
    at: float
    kind: str
    """Dotted, such as `task.submitting` or `transfer.completed`."""
    subject: str
    message: str = _text()


class Lease(SQLModel, table=True):
    """Which engine may act on this database; there is one row at most."""

    __tablename__ = "leases"
    id: int = Field(primary_key=True)
    holder: str
    host: str
    pid: int
    process_started_at: float
    """Tells a process from a later one with the same pid."""
    heartbeat_at: float
