"""A site of the testbed: files and programs come there past every contender, and what is asked of it is counted."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "tests" / "testbed" / "sites.sh"
COMMANDS = ("sbatch", "squeue", "scontrol", "sacct", "scancel", "sinfo", "sacctmgr")
_COUNTS = "/var/tmp/convoy-bench-commands.log"
_USER_ID = 2001
"""Alice, at every site of the testbed."""

# Written by one echo each, so that lines of commands that run at the same time do not mix.
# What asks nobody, such as the version or how a list of hosts is written out, is not counted.
_COUNTING = """#!/bin/sh
case "$*" in --version|-V|'show hostname'*) ;; *) echo {command} >>{counts} ;; esac
exec /usr/bin/{command} "$@"
"""


class NoSiteError(Exception):
    """This machine cannot have a cluster; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """A site of the testbed, as alice sees it, and as the machine's root does."""

    name: str
    state: Path
    """The testbed's folder."""

    @property
    def address(self) -> str:
        """Its address."""
        return (self.state / "sites" / self.name / "address").read_text().strip()

    @property
    def config(self) -> Path:
        """An SSH client's configuration that knows it."""
        return self.state / "ssh_config"

    @property
    def key(self) -> Path:
        """Alice's private key."""
        return self.state / "keys" / "alice"

    @property
    def root(self) -> Path:
        """Its file system, from outside."""
        pid = (self.state / "sites" / self.name / "pid").read_text().strip()
        return Path(f"/proc/{pid}/root")

    @property
    def python(self) -> str:
        """The version of its Python, such as 3.13."""
        text = sites("exec", self.name, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        return text.strip()

    def new_folder(self) -> str:
        """An empty folder of alice's."""
        folder = f"/home/alice/bench-{secrets.token_hex(6)}"
        self._own(self.seen(folder), make=True)
        return folder

    def seen(self, path: str) -> Path:
        """A path of the site, from outside."""
        return self.root / path.lstrip("/")

    def write(self, folder: str, name: str, text: str) -> None:
        """A file of alice's holds the text."""
        self.seen(folder).joinpath(name).write_text(text)
        self._own(self.seen(folder) / name)

    def install(self, packages: Path) -> str:
        """The folder at the site that holds a copy of `packages`; made once for each content of its stamp.

        Compiled by the site's Python: alice may not write there, and would compile all of it at each start.
        """
        stamp = (packages / "pins.sha256").read_text()
        folder = f"/opt/convoy-bench/{packages.name}"
        ready = self.seen(folder) / "compiled.sha256"
        if not ready.exists() or ready.read_text() != stamp:
            shutil.rmtree(self.seen(folder), ignore_errors=True)
            shutil.copytree(packages, self.seen(folder))
            # Templates that are no Python make it fail, and matter to nobody.
            sites("exec", self.name, "sh", "-c", f"python3 -m compileall -q {folder} >/dev/null 2>&1 || :")
            ready.write_text(stamp)
        return folder

    def shell(self, folder: str, *argv: str, **variables: str) -> list[str]:
        """The local command that runs `argv` at the site, in `folder`, as alice."""
        words = [f"{name}={value}" for name, value in variables.items()]
        return ["ssh", "-F", str(self.config), self.name, f"cd {folder} && exec env {shlex.join([*words, *argv])}"]

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Every command of the scheduler that anybody gives at the site leaves a line, until the end of the block."""
        wrappers = [self.seen(f"/usr/local/bin/{command}") for command in COMMANDS]
        self.forget_commands()
        for wrapper in wrappers:
            wrapper.write_text(_COUNTING.format(command=wrapper.name, counts=_COUNTS))
            wrapper.chmod(0o755)
        try:
            yield
        finally:
            for wrapper in wrappers:
                wrapper.unlink()

    def forget_commands(self) -> None:
        """Counting begins anew."""
        self.seen(_COUNTS).write_text("")
        self.seen(_COUNTS).chmod(0o666)

    def commands(self) -> dict[str, int]:
        """How often each command was given since then."""
        return dict(Counter(self.seen(_COUNTS).read_text().split()))

    def shape(self, rtt_ms: float) -> None:
        """The way to the site and back takes half of this; that between two such sites, all of it."""
        sites("link", self.name, f"rtt={rtt_ms:g}")

    def _own(self, path: Path, *, make: bool = False) -> None:
        if make:
            path.mkdir()
        os.chown(path, _USER_ID, _USER_ID)


def bring_up(name: str) -> Login:
    """The site is up. Raises NoSiteError where there can be none."""
    missing = subprocess.run([SCRIPT, "check"], capture_output=True, text=True, check=False)
    if missing.returncode:
        raise NoSiteError("; ".join(missing.stdout.strip().splitlines()))
    states = {site["name"]: site["state"] for site in json.loads(sites("status", "--json"))}
    if states.get(name) != "up":
        sites("up", name)
    return Login(name=name, state=Path(sites("where").strip()))


def sites(*arguments: str) -> str:
    """What `sites.sh` wrote. Raises NoSiteError with its words when it failed."""
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NoSiteError(f"sites.sh {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout
