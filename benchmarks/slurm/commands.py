"""How long one short command takes on an open SSH connection."""

from __future__ import annotations

import time

from adapters.runners.ssh import SshRunner
from benchmarks.login import Login

_ROUNDS = 300


def command_ms(login: Login) -> list[float]:
    """Milliseconds of each `true`, one after the other, with no distance between here and the site."""
    runner = SshRunner(site=login.name, options={"host": login.name, "config_file": str(login.config)})
    try:
        runner.run(("true",))
        return [_timed(runner) for _ in range(_ROUNDS)]
    finally:
        runner.close()


def _timed(runner: SshRunner) -> float:
    began = time.perf_counter()
    runner.run(("true",))
    return 1e3 * (time.perf_counter() - began)
