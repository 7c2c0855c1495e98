"""A script that somebody hands in, as a row of the journal and as a job. Pure, but for the id that it is given."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import asdict, fields, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from metadata.errors import InvalidJobError
from metadata.jobs import Row
from orchestrator.jobs import JobAttributes, JobSpec, JobState, ResourceSpec, Token
from orchestrator.ports import Wishes

_DIRECTIVE = re.compile(r"(?m)^(#(?:SBATCH|PBS|BSUB|OAR|FLUX))\b.*")


def check_script(script: str, directory: str | None, *, heard: str = "") -> None:
    """Raises InvalidJobError for what would go wrong, or be passed over in silence, at the site.

    Lines that begin with `heard` are read by the site's scheduler, and so are allowed.
    """
    if not script.strip():
        raise InvalidJobError("the script is empty")
    if "\0" in script:
        raise InvalidJobError("the script holds a NUL character: is it a program? Name it in a script")
    if directory is not None and not PurePosixPath(directory).is_absolute():
        raise InvalidJobError(f"the directory {directory!r} must be an absolute path at the site")
    if found := next((row for row in _DIRECTIVE.finditer(script) if row[1] != heard), None):
        line = script.count("\n", 0, found.start()) + 1
        raise InvalidJobError(
            f"line {line}: {found[0]!r} would not be heard by this site. "
            "Take the line out and say it as resources or attributes of the job"
        )


def with_wishes(
    wishes: Wishes, resources: ResourceSpec, attributes: JobAttributes
) -> tuple[ResourceSpec, JobAttributes]:
    """What the script asks for, and over it what was said beside it: as a scheduler's own command line goes first."""
    custom = {**wishes.attributes.custom_attributes, **attributes.custom_attributes}
    told = _told(attributes, JobAttributes()) | {"custom_attributes": custom}
    return replace(wishes.resources, **_told(resources, ResourceSpec())), replace(wishes.attributes, **told)


def _told(given: ResourceSpec | JobAttributes, silent: ResourceSpec | JobAttributes) -> dict[str, Any]:
    values = {field.name: getattr(given, field.name) for field in fields(given)}
    return {name: value for name, value in values.items() if value != getattr(silent, name)}


def new_row(
    *, site: str, workdir: str, script: str, directory: str | None, tag: str, resources: ResourceSpec,
    attributes: JobAttributes,
) -> dict[str, Any]:  # fmt: skip
    """The job as it is written down before its site is asked."""
    job_id = f"job-{time.strftime('%m%d')}-{secrets.token_hex(4)}"
    folder = str(PurePosixPath(workdir) / "submitted" / job_id)
    duration_s = attributes.duration.total_seconds() if attributes.duration else None
    return {
        "id": job_id, "site": site, "tag": tag, "script": script, "folder": folder, "directory": directory or folder,
        "resources": asdict(resources), "attributes": {**asdict(attributes), "duration": duration_s},
        "state": str(JobState.NEW), "native_id": "", "created_at": time.time(),
    }  # fmt: skip


def spec_of(row: Row) -> JobSpec:
    """The job that the row means."""
    folder, (executable, *arguments) = PurePosixPath(row["folder"]), interpreter_of(row["script"])
    attributes = {**row["attributes"], "duration": time_limit_of(row)}
    return JobSpec(
        token=Token(row["id"]),
        executable=executable,
        arguments=(*arguments, str(folder / "script")),
        directory=PurePosixPath(row["directory"]),
        environment={"CONVOY_JOB": row["id"]},
        stdout_path=folder / "stdout.txt",
        stderr_path=folder / "stderr.txt",
        resources=ResourceSpec(**row["resources"]),
        attributes=JobAttributes(**attributes),
    )


def time_limit_of(row: Row) -> timedelta | None:
    """The time that was asked for."""
    limit_s = row["attributes"]["duration"]
    return timedelta(seconds=limit_s) if limit_s else None


def interpreter_of(script: str) -> tuple[str, ...]:
    r"""The command that the script's first line names, as the kernel reads it: a program and one argument at most.

    >>> interpreter_of("#!/usr/bin/env -S python3 -u\nprint(1)"), interpreter_of("echo hello")
    (('/usr/bin/env', '-S python3 -u'), ('/bin/sh',))
    """
    first = script.partition("\n")[0]
    words = first[2:].strip().split(None, 1) if first.startswith("#!") else []
    return tuple(word.strip() for word in words) or ("/bin/sh",)
