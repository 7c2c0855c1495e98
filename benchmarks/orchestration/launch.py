"""Runs one command and notes what it took. Imports next to nothing, and is started as a process of its own.

Linux counts the memory of whoever starts a program into that program's peak. A launcher of a few megabytes keeps
the peak honest, which the benchmark itself, with its libraries, could not.

    python -I -S launch.py REPORT LOG COMMAND...

writes `exit wall user system peak_kb` into REPORT. Peak is the largest resident set of any single process among the
command and the descendants that it waited for: the orchestrator, since no task here is as large.
"""

import os
import sys
import time


def main() -> None:
    """The report is written once the command has ended."""
    report, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _become(command, log)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    with open(report, "w") as file:  # noqa: PTH123 - pathlib takes longer to import than this program to run
        code = os.waitstatus_to_exitcode(status)
        file.write(f"{code} {wall:.6f} {used.ru_utime:.6f} {used.ru_stime:.6f} {used.ru_maxrss}\n")


def _become(command: list[str], log: str) -> None:
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvp(command[0], command)
    finally:
        os._exit(127)


if __name__ == "__main__":
    main()
