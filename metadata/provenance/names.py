"""The `@id` of everything in a crate, and how values are written. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from metadata.history import RunRecord

WORKFLOW = "workflow.yaml"
ENGINE = "#convoy"
RUN = "#run"
OPERATOR = "#operator"


def step_id(step: str) -> str:
    """The HowToStep."""
    return f"#step/{step}"


def tool_id(step: str) -> str:
    """The program that a step runs."""
    return f"#tool/{step}"


def parameter_id(owner: str, kind: str, name: str) -> str:
    """A formal parameter; `owner` is a step's name or `workflow`, `kind` is inputs, parameters or outputs."""
    return f"#parameter/{owner}/{kind}/{name}"


def site_id(site: str) -> str:
    """A computing centre."""
    return f"#site/{quote(site)}"


def value_id(name: str, value: Any) -> str:
    """A parameter's value; tasks that were given the same value share it."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
    return f"#value/{quote(name)}/{digest[:12]}"


@dataclass(frozen=True, kw_only=True)
class FileNames:
    """What files are called: content that lies in the crate by its path there, all else by a name that is an URI."""

    inside: Mapping[str, str]
    """sha256 -> path in the crate."""
    origins: Mapping[str, str]
    """sha256 -> `dataset://...`."""

    def __getitem__(self, sha256: str) -> str:
        return self.inside.get(sha256) or self.origins.get(sha256) or f"hash://sha256/{sha256}"


def file_names(record: RunRecord, inside: Mapping[str, str]) -> FileNames:
    """The names of this run's files."""
    known = (file for files in record.plan.get("inputs", {}).values() for file in files)
    origins = {file["sha256"]: quote(file["origin"], safe=":/") for file in known if "://" in file["origin"]}
    return FileNames(inside={sha256: quote(path) for sha256, path in inside.items()}, origins=origins)


def shown_time(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601, in UTC.

    >>> shown_time(0.25)
    '1970-01-01T00:00:00.250+00:00'
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
