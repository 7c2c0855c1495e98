"""Which jobs share others, how many workers they get, and how they are called. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePosixPath

from pydantic import TypeAdapter

from orchestrator.jobs import JobSpec, NativeId, Token

MOST_MEMBERS = 1000
"""Of one bundle: its script holds them all."""

_LEAST_WORKERS = 4
"""A free site shall not be left idle for the sake of a few jobs less."""

_SPARE = 1.25
"""Workers for each that the estimate asks for; those that find nothing left are taken back."""

_SINGLE = "single"
_MEMBER = re.compile(r"([0-9a-f]{16})\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Short like jobs, in their order."""

    specs: tuple[JobSpec, ...]

    @property
    def name(self) -> str:
        """The same for the same jobs, and for no others: to submit a bundle again changes nothing."""
        tokens = "\n".join(spec.token for spec in self.specs)
        return hashlib.sha256(tokens.encode()).hexdigest()[:16]

    @property
    def target_s(self) -> float:
        """Seconds of work after which a worker takes no further member."""
        target = self.specs[0].attributes.bundle
        return target.total_seconds() if target else 0.0

    @property
    def worker_count(self) -> int:
        """How many workers it needs. As many as members when nothing is known: each may be long."""
        count, expected = len(self.specs), self.specs[0].attributes.expected
        if expected is None:
            return count
        needed = math.ceil(_SPARE * count * expected.total_seconds() / self.target_s)
        return min(count, max(needed, _LEAST_WORKERS))


def bundles_and_others(specs: Sequence[JobSpec]) -> tuple[list[Bundle], list[JobSpec]]:
    """The jobs that share, and those that get jobs of their own."""
    others = [spec for spec in specs if not _is_short(spec)]
    bundles: list[Bundle] = []
    for alike in _alike([spec for spec in specs if _is_short(spec)]):
        if len(alike) == 1:
            others += alike
        else:
            pieces = (alike[start : start + MOST_MEMBERS] for start in range(0, len(alike), MOST_MEMBERS))
            bundles += [Bundle(specs=tuple(piece)) for piece in pieces]
    return bundles, others


def _is_short(spec: JobSpec) -> bool:
    """Whether a job may share: it is one process, and not known to be long."""
    target, expected = spec.attributes.bundle, spec.attributes.expected
    several = spec.launcher != _SINGLE or spec.resources.process_count > 1 or spec.resources.node_count > 1
    if not target or several:
        return False
    return expected is None or expected <= target / 2


def _alike(specs: Sequence[JobSpec]) -> Iterator[list[JobSpec]]:
    groups: list[list[JobSpec]] = []
    for spec in specs:
        for group in groups:
            if (group[0].resources, group[0].attributes) == (spec.resources, spec.attributes):
                group.append(spec)
                break
        else:
            groups.append([spec])
    yield from groups


def worker(spec: JobSpec, folder: PurePosixPath) -> JobSpec:
    """The first worker of the bundle in `folder`, of which `spec` is a member: a job that asks for what a member asks.

    It begins its last member before its target is over, so that much time is asked for beyond a member's.
    """
    attributes = spec.attributes
    limit, target = attributes.duration, attributes.bundle
    first = replace(
        spec,
        executable="/bin/sh",
        arguments=(str(folder / "work.sh"),),
        directory=folder,
        environment={},
        stdin_path=None,
        attributes=replace(
            attributes, duration=limit + target if limit and target else limit, bundle=None, expected=None
        ),
        stage_in=(),
        stage_out=(),
    )
    return _numbered(first, worker_token(spec.token, folder.name, 0), 0)


def workers(first: JobSpec, numbers: Sequence[int]) -> tuple[JobSpec, ...]:
    """The workers with these numbers, all like the first."""
    stem = first.token.rpartition(".")[0]
    return tuple(_numbered(first, Token(f"{stem}.{number}"), number) for number in numbers)


def _numbered(spec: JobSpec, token: Token, number: int) -> JobSpec:
    output = spec.directory / "logs" / f"{number}.txt"
    return replace(spec, token=token, stdout_path=output, stderr_path=output)


def worker_token(member: Token, bundle: str, number: int) -> Token:
    """`<run>.<step>.bundle-<name>.<number>`, from the token of any member."""
    return Token(f"{member.rsplit('.', 2)[0]}.bundle-{bundle}.{number}")


def is_worker_of(bundle: str, token: Token) -> bool:
    """Whether a token is that of a worker of the bundle."""
    return f".bundle-{bundle}." in token


def render_spec(spec: JobSpec) -> str:
    """A job as one line, so that more workers can be made by whoever comes later."""
    return _specs().dump_json(spec).decode()


def parse_spec(text: str) -> JobSpec:
    """What `render_spec` wrote. Raises ValueError for anything else."""
    return _specs().validate_json(text)


@cache
def _specs() -> TypeAdapter[JobSpec]:
    return TypeAdapter(JobSpec)


def member_id(bundle: str, number: int) -> NativeId:
    """A member's name at its site, whichever worker takes it."""
    return NativeId(f"{bundle}.{number}")


def is_member(native_id: str) -> bool:
    """Whether this is the id of a bundle's member, of which its scheduler knows nothing."""
    return bool(_MEMBER.fullmatch(native_id))


def members_by_bundle(ids: Sequence[NativeId]) -> dict[str, list[int]]:
    """The numbers of those that are members, by the names of their bundles."""
    found: dict[str, list[int]] = {}
    for native_id in ids:
        if match := _MEMBER.fullmatch(native_id):
            found.setdefault(match[1], []).append(int(match[2]))
    return found
