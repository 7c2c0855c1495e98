"""Lets a run go on without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from orchestrator.settings import Settings


def resume_in_background(settings: Settings, run_id: str, *, report: bool) -> Path:
    """`convoy resume` works on the run in a session of its own. Returns the file that it writes to.

    It waits for an engine that is at work already, so that runs may be queued up this way.
    """
    log = settings.home / "runs" / f"{run_id}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["resume", run_id, "--wait=forever", "--report" if report else "--no-report"]
    with log.open("ab") as stream:
        # No `with` around the process: it is meant to outlive this one.
        subprocess.Popen(
            [sys.executable, "-m", "orchestrator.faces.cli", *words], env={**os.environ, **_environment(settings)},
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    return log


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as the command reads them; a database's password does not show in the list of processes so."""
    return {
        "CONVOY_HOME": str(settings.home),
        "CONVOY_SITES": str(settings.sites_file),
        "CONVOY_DATABASE": settings.database_url,
    }
