"""How a user proves who they are: keys, certificates, an agent, and questions that only a person can answer."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from paramiko import (
    Agent,
    AgentKey,
    ECDSAKey,
    Ed25519Key,
    PasswordRequiredException,
    PKey,
    RSAKey,
    SSHException,
)
from paramiko.ssh_exception import AuthenticationException, BadAuthenticationType

from adapters.runners.ssh.client_config import Target
from adapters.runners.ssh.errors import LoginRefusedError
from adapters.runners.ssh.questions import Prompter, Question
from adapters.runners.ssh.transport import PoliteTransport
from metadata.errors import LoginNeededError, SiteUnavailableError

_INTERACTIVE = "keyboard-interactive"
_PASSWORD = "password"  # noqa: S105 - the method's name in the SSH protocol
_MOST_ROUNDS = 4  # of methods that follow each other: key, then code, then whatever a site invents


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A key to try."""

    name: str
    """Where it is from, for messages."""

    key: PKey
    """The private key, or the agent's word for one."""

    certified: bool = False
    """Whether a certificate goes with it."""


class _HungUpError(AuthenticationException):
    """The host said that it will listen to no further proof on this connection."""


@dataclass(kw_only=True)
class Login:
    """Logs one user in to one host: keys first, then whatever the site asks for."""

    site: str
    """Convoy's name for the site."""

    target: Target
    """Where to log in."""

    prompter: Prompter | None
    """None: nobody can be asked."""

    _tried: list[str] = field(default_factory=list)
    _saw_certificate: bool = False

    def authenticate(self, transport: PoliteTransport) -> None:
        """The user is logged in.

        Raises LoginNeededError when a person could help, LoginRefusedError when no way that was tried is accepted,
        SiteUnavailableError when the connection ended before the host had decided.
        """
        methods = self._offer_keys(transport)
        for _ in range(_MOST_ROUNDS):
            if not methods:
                return
            methods = self._answer_questions(transport, methods)
        raise LoginRefusedError(f"{self._place()} asks for more proofs than Convoy knows to give", site=self.site)

    def _offer_keys(self, transport: PoliteTransport) -> list[str]:
        """The methods that are still wanted after the first accepted key; none when that was enough."""
        with contextlib.closing(Agent()) as agent:
            for identity in self._identities(agent.get_keys() if self.target.use_agent else ()):
                methods = self._offer_key(transport, identity)
                if methods is not None:
                    return methods
        return self._allowed_methods(transport)

    def _offer_key(self, transport: PoliteTransport, identity: Identity) -> list[str] | None:
        """The methods that are still wanted; None when the next key should be tried."""
        self._tried.append(identity.name)
        self._saw_certificate |= identity.certified
        try:
            with self._heard(transport):
                return list(transport.auth_publickey(self.target.user, identity.key))
        except BadAuthenticationType as error:
            return list(error.allowed_types)
        except _HungUpError as error:
            self._refuse(f"hung up ({error}); offer fewer keys with IdentitiesOnly in the SSH configuration")
        except SSHException:
            return None

    def _allowed_methods(self, transport: PoliteTransport) -> list[str]:
        """A login without any proof: sshd answers with the methods that it accepts."""
        try:
            with self._heard(transport):
                return list(transport.auth_none(self.target.user))
        except BadAuthenticationType as error:
            return list(error.allowed_types)
        except _HungUpError as error:
            self._refuse(f"hung up ({error}); offer fewer keys with IdentitiesOnly in the SSH configuration")

    @contextlib.contextmanager
    def _heard(self, transport: PoliteTransport) -> Iterator[None]:
        """Only what the host itself said leaves the block as an AuthenticationException.

        Raises _HungUpError when it refused for good, SiteUnavailableError when it fell silent or vanished.
        """
        try:
            yield
        except (SSHException, EOFError, OSError) as error:
            if transport.refusal:
                raise _HungUpError(transport.refusal) from error
            if transport.is_active() and not _timed_out(error):
                raise
            message = f"{self._place()} broke off the login: {error or type(error).__name__}"
            raise SiteUnavailableError(message, site=self.site) from error

    def _answer_questions(self, transport: PoliteTransport, methods: list[str]) -> list[str]:
        if _INTERACTIVE not in methods and _PASSWORD not in methods:
            self._refuse(f"lets '{self.target.user}' in by {_spoken(methods)} only")
        if self.prompter is None:
            raise LoginNeededError(f"{self._place()} wants {_spoken(methods)}: {self._advice()}", site=self.site)
        try:
            with self._heard(transport):
                if _INTERACTIVE in methods:
                    return list(transport.auth_interactive(self.target.user, self._answer))
                question = Question(text=f"Password of {self.target.user} at {self.target.address}: ", secret=True)
                return list(transport.auth_password(self.target.user, self._ask("", (question,))[0], fallback=False))
        except AuthenticationException as error:
            message = f"{self._place()} did not accept the answer: {error}. {self._advice()}"
            raise LoginNeededError(message, site=self.site) from error

    def _answer(self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        """Paramiko's callback. Some sites send a round without questions, just to say something."""
        if not prompts:
            return []
        questions = tuple(Question(text=text, secret=not shown) for text, shown in prompts)
        return list(self._ask(" ".join(filter(None, (title, instructions))), questions))

    def _ask(self, title: str, questions: Sequence[Question]) -> Sequence[str]:
        if self.prompter is None:
            raise LoginNeededError(f"{self._place()}: {self._advice()}", site=self.site)
        return self.prompter.ask(site=self.site, title=title, questions=questions)

    def _identities(self, held: Sequence[AgentKey]) -> Iterator[Identity]:
        """Named files first: sshd hangs up after a few wrong keys (MaxAuthTries), and an agent may hold many."""
        public = {_public_blob(path) for path in self.target.identity_files}
        agents = [Identity(name=f"agent key {key.comment or key.get_name()}", key=key) for key in held]
        yield from (agent for agent in agents if agent.key.asbytes() in public)
        for path in self.target.identity_files:
            yield from self._from_file(path)
        if not self.target.only_named_keys:
            yield from (agent for agent in agents if agent.key.asbytes() not in public)

    def _from_file(self, path: Path) -> Iterator[Identity]:
        key = self._read_key(path)
        if key is None:
            self._tried.append(f"{path} (unreadable)")
            return
        beside = path.with_name(f"{path.name}-cert.pub")
        for certificate in (*self.target.certificate_files, beside):
            if certificate.is_file() and _certify(key, certificate):
                yield Identity(name=f"{path} with {certificate.name}", key=key, certified=True)
                key = self._read_key(path) or key  # the certificate cannot be taken off again
        yield Identity(name=str(path), key=key)

    def _read_key(self, path: Path) -> PKey | None:
        """The key, its passphrase asked for where it has one and somebody is there."""
        try:
            return _load_key(path, None)
        except PasswordRequiredException:
            return self._unlock_key(path)
        except (OSError, ValueError, SSHException):
            return None

    def _unlock_key(self, path: Path) -> PKey | None:
        if self.prompter is None:
            return None
        question = Question(text=f"Passphrase of {path}: ", secret=True)
        try:
            return _load_key(path, self._ask("", (question,))[0])
        except (ValueError, SSHException) as error:
            raise LoginNeededError(f"the passphrase of {path} is wrong", site=self.site) from error

    def _refuse(self, decision: str) -> NoReturn:
        message = f"{self._place()} {decision}; tried: {', '.join(self._tried) or 'no key at all'}"
        # Certificates expire within hours or days: a person can get a new one, and jobs should wait for that.
        if self._saw_certificate or any("unreadable" in name for name in self._tried):
            raise LoginNeededError(f"{message}. {self._advice()}", site=self.site)
        raise LoginRefusedError(f"{message}. Check 'user' and 'identity_file' of the site", site=self.site)

    def _place(self) -> str:
        return f"site '{self.site}' ({self.target.user}@{self.target.address}, port {self.target.port})"

    def _advice(self) -> str:
        return f"a person has to log in; run: convoy site login {self.site}"


def _timed_out(error: Exception) -> bool:
    """Paramiko has no type of its own for a host that did not answer in time."""
    return type(error) is AuthenticationException and "timeout" in str(error).lower()


def _load_key(path: Path, passphrase: str | None) -> PKey:
    """The private key alone: PKey.from_path would take along the certificate beside it, valid or not."""
    for kind in (Ed25519Key, ECDSAKey):
        with contextlib.suppress(SSHException):
            return kind.from_private_key_file(str(path), passphrase)
    return RSAKey.from_private_key_file(str(path), passphrase)


def _certify(key: PKey, certificate: Path) -> bool:
    try:
        key.load_certificate(str(certificate))
    except (OSError, ValueError, SSHException):
        return False
    return True


def _public_blob(path: Path) -> bytes:
    """The public half of a key file, from the .pub beside it: enough to find the key in an agent."""
    try:
        return base64.b64decode(path.with_name(f"{path.name}.pub").read_text(encoding="utf-8").split()[1])
    except (OSError, ValueError, IndexError):
        return b""


def _spoken(methods: Sequence[str]) -> str:
    return " or ".join(methods)
