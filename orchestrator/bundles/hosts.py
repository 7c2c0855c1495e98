"""Which worker carried out which member, by the links that the workers left."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import PurePosixPath

from orchestrator.bundles.members import member_id, members_by_bundle
from orchestrator.bundles.records import parse_records, read_command, read_input
from orchestrator.jobs import NativeId
from orchestrator.ports import CommandRunner

_COMMAND_S = 60.0


def find_hosts(runner: CommandRunner, workdir: PurePosixPath, ids: Sequence[NativeId]) -> dict[NativeId, NativeId]:
    """Member -> the job that it ran in; what is no member, or was never taken, is absent.

    workdir: Convoy's folder at the site. Raises what the runner raises.
    """
    wanted = members_by_bundle(ids)
    if not wanted:
        return {}
    mark = secrets.token_hex(12)
    question = read_command(workdir / "bundles", mark)
    answer = runner.run(question, stdin=read_input(dict.fromkeys(wanted, ())), timeout_s=_COMMAND_S)
    records = parse_records(answer.stdout, mark)
    return {
        member_id(name, number): record.claims[number]
        for name, record in records.items()
        for number in wanted[name]
        if number in record.claims
    }
