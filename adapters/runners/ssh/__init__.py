"""Runs commands at a site over SSH: paramiko below, fabric's connection around it, strict about host keys.

runner          the adapter: CommandRunner's methods
sharing         the two ways in: shared_login, which a person opened with OpenSSH, and link
link, gate      one kept connection, a bounded number of commands on it
exchange        one command on one channel
kept_shell      one command after the other in a shell that stays, told in shell_language; shell_pool lends these
reception       what comes in on a channel
framing, files  quoting, and answers without the login shell's noise; small files
sftp            files over the same connection, for transfers
connection      one login: dial -> host_check -> login
settings, client_config, known_hosts    what people wrote down
answers, questions, errors              words for all of these; with sharing and above it, nothing imports paramiko
"""

from adapters.runners.ssh.errors import (
    HostKeyChangedError,
    HostKeyUnknownError,
    LoginRefusedError,
    ShownKey,
)
from adapters.runners.ssh.known_hosts import HostKey
from adapters.runners.ssh.questions import Prompter, Question
from adapters.runners.ssh.runner import SshRunner

ADAPTER = SshRunner

__all__ = [
    "ADAPTER",
    "HostKey",
    "HostKeyChangedError",
    "HostKeyUnknownError",
    "LoginRefusedError",
    "Prompter",
    "Question",
    "ShownKey",
    "SshRunner",
]
