"""Commands through a login that a person opened: the system's own ssh, which shares the connection behind a socket."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.runners.ssh.answers import Answer, CommandTimeoutError, LinkLostError
from adapters.runners.ssh.gate import Gate
from adapters.runners.ssh.questions import Prompter, Question
from adapters.runners.ssh.settings import SshSettings
from metadata.errors import AdapterUnavailableError, LoginNeededError, SiteUnavailableError
from staging.logins import is_open, login_socket, make_login_folder

_IDLE_S = 12 * 3600
"""A login that nobody uses ends after this."""
_TYPING_TIME_S = 120.0
_LOST = 255  # ssh's own exit code; a command that ends so itself is taken for lost, too
# Questions go to the one who waits at the first pipe, and the answer comes from the second: nothing stands in a list of
# programs or in an environment.
_ASK = """\
#!/bin/sh
printf '%s' "$1" >{folder}/question
cat {folder}/answer
"""


@dataclass(frozen=True, kw_only=True)
class SharedLogin:
    """The login behind one site's socket, open or not."""

    settings: SshSettings
    gate: Gate

    @property
    def socket(self) -> Path:
        """Where it is found."""
        settings = self.settings
        told = {"host": settings.host, "user": settings.user, "port": settings.port}
        return login_socket({**told, "config_file": settings.config_file})

    @property
    def open(self) -> bool:
        """Whether somebody is logged in."""
        return is_open(self.socket)

    def run(self, line: bytes, *, stdin: bytes, deadline: float) -> Answer:
        """The answer to one line of the login shell.

        deadline: in time.monotonic()'s seconds. Raises CommandTimeoutError (it still runs) or LinkLostError.
        """
        words = ["ssh", *self._words(), "-o", "BatchMode=yes", "-o", "ControlMaster=no", "--", self.settings.host]
        with self.gate.place(deadline=deadline):
            try:
                done = subprocess.run(
                    [*words, os.fsdecode(line)],
                    input=stdin, capture_output=True, check=False, timeout=max(0.1, deadline - time.monotonic()),
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise CommandTimeoutError(error.stdout or b"") from error
        if done.returncode == _LOST:
            raise LinkLostError(done.stderr.decode(errors="replace").strip()[-300:] or "ssh lost the connection")
        return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def log_in(self, prompter: Prompter) -> None:
        """A person is logged in until the site or `log_out` ends it; every question was answered by `prompter`.

        Raises LoginNeededError (a wrong answer), SiteUnavailableError, or AdapterUnavailableError without OpenSSH.
        """
        if self.open:
            return
        if shutil.which("ssh") is None:
            raise AdapterUnavailableError("a login that others can use needs OpenSSH's `ssh` on this machine")
        make_login_folder()
        self.socket.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
            clerk = _Clerk(Path(folder), self.settings.site, prompter)
            with clerk.at_work():
                code = self._start(clerk, said.fileno())
            if clerk.trouble is not None:
                raise clerk.trouble
            if code:
                said.seek(0)
                raise self._refusal(said.read().decode(errors="replace"))

    def log_out(self) -> None:
        """Nobody is logged in any more."""
        words = ["ssh", *self._words(), "-O", "exit", "--", self.settings.host]
        subprocess.run(words, check=False, capture_output=True, timeout=30)

    def _start(self, clerk: _Clerk, said: int) -> int:
        staying = ("-o", "ControlMaster=yes", "-o", f"ControlPersist={_IDLE_S}", "-f", "-N")
        seconds = str(int(self.settings.keepalive_s) or 1)
        alive = (
            "-o",
            f"ServerAliveInterval={seconds}",
            "-o",
            "ServerAliveCountMax=3",
            "-o",
            "NumberOfPasswordPrompts=1",
        )
        words = ["ssh", *self._words(), *staying, *alive, "--", self.settings.host]
        # The connection keeps its standard error for as long as it lives: a pipe would never end.
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, env=clerk.environment,
            start_new_session=True,
        ) as program:  # fmt: skip
            try:
                return program.wait(timeout=_TYPING_TIME_S + 3 * self.settings.connect_timeout_s)
            except subprocess.TimeoutExpired as error:
                program.kill()
                raise SiteUnavailableError(f"site '{self.settings.site}': the login took too long") from error

    def _words(self) -> Iterator[str]:
        """What ssh is told of the site: the same as the runner, in ssh's own words."""
        settings = self.settings
        told = {
            "-F": settings.config_file,
            "-l": settings.user,
            "-p": settings.port,
        }
        for flag, value in told.items():
            if value is not None:
                yield from (flag, str(value))
        for path in settings.identity_files:
            yield from ("-i", str(path))
        if settings.known_hosts:
            yield from ("-o", f"UserKnownHostsFile={settings.known_hosts}")
        yield from ("-o", f"ControlPath={self.socket}", "-o", "StrictHostKeyChecking=yes")
        yield from ("-o", f"ConnectTimeout={int(settings.connect_timeout_s) or 1}", "-T")

    def _refusal(self, said: str) -> SiteUnavailableError:
        lines = [line for line in said.strip().splitlines() if line.strip()]
        words, site = (lines or ["ssh gave no reason"])[-1].strip(), self.settings.site
        if "permission denied" in said.lower() or "too many authentication failures" in said.lower():
            message = f"site '{site}' did not accept the answer: {words}; try again: convoy site login {site}"
            return LoginNeededError(message, site=site)
        return SiteUnavailableError(f"site '{site}' gave no login: {words}", site=site)


class _Clerk:
    """Carries ssh's questions to a prompter and the answers back."""

    def __init__(self, folder: Path, site: str, prompter: Prompter) -> None:
        self._folder = folder
        self._site = site
        self._prompter = prompter
        self.trouble: Exception | None = None
        """What the prompter raised."""

    @property
    def environment(self) -> dict[str, str]:
        """What ssh has to be started with. Before 8.4 it asks so only where there is a display and no terminal."""
        own = {"SSH_ASKPASS": str(self._folder / "ask"), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "convoy"}
        return {**os.environ, **own, "LC_ALL": "C"}

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Questions are answered while the block lasts."""
        for name in ("question", "answer"):
            os.mkfifo(self._folder / name, 0o600)
        script = self._folder / "ask"
        script.write_text(_ASK.format(folder=shlex.quote(str(self._folder))), encoding="utf-8")
        script.chmod(0o700)
        worker = threading.Thread(target=self._serve, daemon=True)
        worker.start()
        try:
            yield
        finally:
            # The worker waits for the next question: an empty one sends it home.
            with (self._folder / "question").open("w", encoding="utf-8"):
                pass
            worker.join()

    def _serve(self) -> None:
        while question := (self._folder / "question").read_text(encoding="utf-8", errors="replace"):
            answer = self._answer(question) if self.trouble is None else ""
            with contextlib.suppress(BrokenPipeError), (self._folder / "answer").open("w", encoding="utf-8") as pipe:
                pipe.write(f"{answer}\n")

    def _answer(self, question: str) -> str:
        try:
            return self._ask((Question(text=question, secret=True),))
        except Exception as error:  # noqa: BLE001 - a thread's own errors would vanish; log_in raises it
            self.trouble = error
            return ""

    def _ask(self, questions: Sequence[Question]) -> str:
        return next(iter(self._prompter.ask(site=self._site, title="", questions=questions)))
