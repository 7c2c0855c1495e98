"""The tables of the catalogue and of the journal.

Times are seconds since the epoch (UTC), sizes are bytes, and `sha256` is 64 lower-case hexadecimal digits. Whoever
wants rows as objects finds a class for each table in `metadata.rows`; the engine does without, for they load slowly.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()

# SQLite numbers rows by itself only for a column of exactly this type; PostgreSQL needs the wide one.
_RowId = BigInteger().with_variant(Integer, "sqlite")


def _key() -> Column[Any]:
    return Column("id", _RowId, primary_key=True, autoincrement=True)


def _owner(name: str, target: str, *, nullable: bool = False, doc: str | None = None) -> Column[Any]:
    owner = ForeignKey(target, ondelete="CASCADE")
    return Column(name, _RowId, owner, nullable=nullable, index=True, doc=doc)


def _of_run(*, index: bool = False) -> Column[Any]:
    return Column("run_id", String, ForeignKey("runs.id"), nullable=False, index=index)


def _document(name: str, *, nullable: bool = False, doc: str | None = None) -> Column[Any]:
    # Where None is allowed it is SQL's NULL and not JSON's null, so that `IS NULL` finds it.
    return Column(name, JSON(none_as_null=nullable), nullable=nullable, doc=doc)


def _word(name: str, *, unique: bool = False, index: bool = False, doc: str | None = None) -> Column[Any]:
    return Column(name, String, nullable=False, unique=unique, index=index, doc=doc)


def _word_or_none(name: str, *, index: bool = False, doc: str | None = None) -> Column[Any]:
    """Empty unless it is given."""
    return Column(name, String, nullable=False, default="", index=index, doc=doc)


def _text(name: str, *, doc: str | None = None) -> Column[Any]:
    """Empty unless it is given."""
    return Column(name, Text, nullable=False, default="", doc=doc)


def _count(name: str, default: int = 0) -> Column[Any]:
    return Column(name, Integer, nullable=False, default=default)


def _number(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False)


def _bytes(name: str, *, doc: str | None = None) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, default=0, doc=doc)


def _seconds(name: str, *, doc: str | None = None) -> Column[Any]:
    return Column(name, Float, nullable=False, doc=doc)


def _moment(name: str, doc: str) -> Column[Any]:
    """A time that is 0, long ago, unless it is given."""
    return Column(name, Float, nullable=False, default=0.0, doc=doc)


def _seconds_or_none(name: str) -> Column[Any]:
    return Column(name, Float, nullable=True)


def _flag(name: str, doc: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, default=False, doc=doc)


DATASETS = Table(
    "datasets", METADATA,
    _key(),
    _word("name", unique=True, index=True),
    _text("description"),
    _document("policy", nullable=True, doc="`metadata.policy.Policy` as JSON; None lets the data go anywhere."),
    _seconds("created_at"),
)  # fmt: skip
"""Named collections of files."""

FILES = Table(
    "files", METADATA,
    _key(),
    _owner("dataset_id", "datasets.id"),
    _word("path", doc="Relative to the dataset, with `/` between its parts."),
    _bytes("size_bytes"),
    _word("sha256"),
    _word_or_none("media_type"),
    _document(
        "policy", nullable=True,
        doc="What a result inherited from the inputs that it was made of; added to its dataset's own policy.",
    ),
    _seconds("created_at"),
    UniqueConstraint("dataset_id", "path"),
    Index("ix_files_sha256", "sha256"),
)  # fmt: skip
"""The files of datasets: each a name for some content."""

REPLICAS = Table(
    "replicas", METADATA,
    _key(),
    _word("sha256"),
    _bytes("size_bytes"),
    _word("site"),
    _word("path"),
    Column(
        "modified_ns", BigInteger, nullable=True,
        doc="The file's time when it was hashed: with its size a cheap sign of a later change.",
    ),
    _seconds("verified_at"),
    Column(
        "inode", BigInteger, nullable=True,
        doc="The file's number then: another file of the same size and time has another one.",
    ),
    UniqueConstraint("site", "path"),
    Index("ix_replicas_sha256_site", "sha256", "site"),
)  # fmt: skip
"""Content that lies at a site."""

ATTRIBUTES = Table(
    "attributes", METADATA,
    _key(),
    _owner("dataset_id", "datasets.id"),
    _owner("file_id", "files.id", nullable=True),
    _word("key"),
    _seconds_or_none("number"),
    Column("text", Text, nullable=True),
    _document("items", nullable=True),
    Index("ix_attributes_key_number", "key", "number"),
)  # fmt: skip
"""Facts about a dataset (`file_id` is None) or about one of its files. One of the three values is set."""

RUNS = Table(
    "runs", METADATA,
    Column("id", String, primary_key=True),
    _word("name", index=True),
    _word("state", index=True),
    _document("plan"),
    _flag("fresh", doc="True when results of earlier runs shall not be reused."),
    Column(
        "wanted", String, nullable=False, default="run",
        doc="What people want of it: `run` or `cancel`. The engine looks at every tick.",
    ),
    _text("message"),
    _seconds("created_at"),
    _seconds_or_none("started_at"),
    _seconds_or_none("ended_at"),
)  # fmt: skip
"""Carryings-out of plans."""

STEPS = Table(
    "steps", METADATA,
    _key(),
    _of_run(index=True),
    _number("position"),
    _word("name"),
    _word("site"),
    _flag("expanded", doc="True once its tasks are known and written."),
    _text("skipped", doc="Why it does not run; empty when it does."),
    UniqueConstraint("run_id", "name"),
)  # fmt: skip
"""The steps of runs."""

TASKS = Table(
    "tasks", METADATA,
    _key(),
    _of_run(),
    _owner("step_id", "steps.id"),
    _number("position"),
    _word_or_none("label", doc="The element that it works on, for people."),
    _word("state"),
    _document("inputs", doc="Input name -> file or list of files, as `{name, sha256, size_bytes}`."),
    _document("parameters"),
    _document("outputs", nullable=True, doc="Output name -> list of `{name, sha256, size_bytes, path}`."),
    _word_or_none(
        "content_key", index=True,
        doc="Hash of image, command, parameters and inputs: equal keys give equal results.",
    ),
    _word_or_none("reused_from", doc="The attempt whose results were taken over."),
    _count("attempts"),
    _moment("not_before", doc="A retry waits until then."),
    _text("message"),
    UniqueConstraint("step_id", "position"),
    Index("ix_tasks_run_state", "run_id", "state"),
)  # fmt: skip
"""The elements of a step's scatter; a step without scatter has one."""

ATTEMPTS = Table(
    "attempts", METADATA,
    _key(),
    _of_run(),
    _owner("task_id", "tasks.id"),
    _number("number"),
    _word("token"),
    _word("site"),
    _word("directory"),
    _word("state"),
    _word_or_none("native_id"),
    _word_or_none("native_state"),
    _word_or_none("node"),
    Column("exit_code", Integer, nullable=True),
    _text("message"),
    _document("resources"),
    _seconds("created_at"),
    _seconds_or_none("submitted_at"),
    _seconds_or_none("started_at"),
    _seconds_or_none("ended_at"),
    UniqueConstraint("token"),
    Index("ix_attempts_run_state", "run_id", "state"),
)  # fmt: skip
"""Submissions of tasks. Written before the site is asked."""

TRANSFERS = Table(
    "transfers", METADATA,
    _key(),
    _of_run(index=True),
    _owner("step_id", "steps.id", nullable=True, doc="The step that first asked for it."),
    _word("name"),
    _word("sha256"),
    _bytes("size_bytes"),
    _word("source_site"),
    _word("source_path"),
    _word("destination_site"),
    _word("destination_path"),
    _word("mover"),
    _word("state"),
    _bytes("bytes_done"),
    _bytes(
        "bytes_moved",
        doc="Bytes that really travelled, over all attempts; less than the size when content was resumed.",
    ),
    _count("attempts"),
    _moment("not_before", doc="It is not tried again until then."),
    _text("message"),
    _seconds("created_at"),
    _seconds_or_none("started_at"),
    _seconds_or_none("ended_at"),
    _word_or_none("direction", doc="`push`, `pull`, `third-party`, `relay` or `local`."),
    _count("streams", 1),
    _word_or_none("credential", doc="By what right the sites talked to each other."),
    UniqueConstraint("run_id", "sha256", "destination_site"),
)  # fmt: skip
"""Content that a run brings to a site. Written before a byte moves."""

SHIPMENTS = Table(
    "shipments", METADATA,
    Column("id", String, primary_key=True),
    _word("name", doc="What moves, for people."),
    _word("source_site", doc="Where what moves now, or moved last, comes from."),
    _word("destination_site"),
    _count("files"),
    _bytes("size_bytes"),
    _bytes("bytes_done"),
    _word("state"),
    _text("message"),
    _word("host", doc="The process that moves it: its machine, its number there, and when it began."),
    _number("pid"),
    _seconds("process_started_at"),
    _seconds("heartbeat_at"),
    _seconds("created_at"),
    _seconds_or_none("ended_at"),
)  # fmt: skip
"""Bytes that verbs on data bring to places, outside any run: one row a call."""

HOLDS = Table(
    "holds", METADATA,
    Column(
        "held", String, primary_key=True,
        doc="The number of a run's transfer, the id of a shipment, the id of a run for all of its transfers, or `all`.",
    ),
    _word("wish", doc="`pause` or `cancel`. Whoever moves the bytes looks a few times a second."),
    _seconds("made_at"),
)  # fmt: skip
"""What people want to be moved later, or never."""

JOBS = Table(
    "jobs", METADATA,
    Column("id", String, primary_key=True, doc="The token that it carries at its site, too."),
    _word("owner", doc="Whoever handed it in: nobody else is told that it exists."),
    _word("site"),
    _word_or_none("tag"),
    _text("script"),
    _word("directory", doc="Where it runs."),
    _word("folder", doc="Where its script and its output lie."),
    _document("resources"),
    _document("attributes"),
    _word("state"),
    _word_or_none("native_id"),
    _word_or_none("native_state"),
    _word_or_none("node"),
    Column("exit_code", Integer, nullable=True),
    _text("message"),
    _document("usage", nullable=True, doc="What the site's accounting counted; None until it has told."),
    _moment("claimed_until", doc="Until then a process may be submitting it, and no other one does."),
    _seconds("created_at"),
    _seconds_or_none("submitted_at"),
    _seconds_or_none("started_at"),
    _seconds_or_none("ended_at"),
    Index("ix_jobs_owner_created_at", "owner", "created_at"),
)  # fmt: skip
"""Scripts that people handed to sites, outside any run. Written before the site is asked."""

LINK_MEASUREMENTS = Table(
    "link_measurements", METADATA,
    _key(),
    _word("source_site"),
    _word("destination_site"),
    _word("mover"),
    _count("streams", 1),
    _count("files", 1),
    _bytes("size_bytes"),
    _seconds("seconds"),
    _seconds("measured_at"),
    _word_or_none("direction", doc="Empty where the measurement is older than directions."),
    Index("ix_link_measurements_pair", "source_site", "destination_site"),
)  # fmt: skip
"""What single transfers told about the link between two sites."""

EVENTS = Table(
    "events", METADATA,
    _key(),
    _word("run_id", index=True),
    _seconds("at"),
    _word("kind", doc="Dotted, such as `task.submitting` or `transfer.completed`."),
    _word("subject"),
    _text("message"),
)  # fmt: skip
"""The lines of runs' journals: decisions, written before they are acted on, and observations."""

LEASES = Table(
    "leases", METADATA,
    Column("id", Integer, primary_key=True),
    _word("holder"),
    _word("host"),
    _number("pid"),
    _seconds("process_started_at", doc="Tells a process from a later one with the same pid."),
    _seconds("heartbeat_at"),
)  # fmt: skip
"""Which engine may act on this database; there is one row at most."""

CLAIMS = Table(
    "claims", METADATA,
    Column("place", String, primary_key=True, doc="The hash of a site and a path there, which may be no text."),
    _word("holder", index=True),
    _word("host"),
    _number("pid"),
    _seconds("process_started_at"),
    _seconds("heartbeat_at"),
)  # fmt: skip
"""Which process writes a file at a site now."""

MESSAGES = Table(
    "messages", METADATA,
    Column("id", String, primary_key=True, doc="By which its receiver knows it again: `msg_...`, later ones greater."),
    _word("run_id"),
    _word("kind", doc="Of the event that it tells of."),
    _text("body", doc="JSON, as it is sent."),
    _seconds("created_at"),
    _count("tries"),
    _moment("not_before", doc="It is not sent again until then."),
    _text("trouble", doc="Why it was not taken the last time."),
)  # fmt: skip
"""What others are to be told and have not taken yet; written with the event that it tells of."""

RULES = Table(
    "rules", METADATA,
    _key(),
    _word("target", doc="A pattern for datasets, and behind a slash one for the files in them."),
    Column("copies", Integer, doc="At so many sites at least."),
    _document("at", nullable=True, doc="Names or labels of sites, each of which asks for one of the copies."),
    Column("keep_s", Float, doc="A copy that nobody used for so long may be taken away."),
    _word("site", doc="The name or label of the sites where `keep_s` holds; empty for all."),
    _seconds("created_at"),
)  # fmt: skip
"""What shall hold for the copies of some files."""

PINS = Table(
    "pins", METADATA,
    _key(),
    _owner("dataset_id", "datasets.id"),
    _owner("file_id", "files.id", nullable=True, doc="None for the whole dataset."),
    _word("site", doc="The one site where that holds; empty for all."),
    _seconds("created_at"),
)  # fmt: skip
"""Datasets and files whose copies nobody may take away."""

USES = Table(
    "uses", METADATA,
    Column("sha256", String, primary_key=True),
    Column("site", String, primary_key=True),
    _seconds("used_at"),
)  # fmt: skip
"""When some content was last read at a site, or brought to it, outside any run: the journal knows the runs."""
