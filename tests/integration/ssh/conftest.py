"""A fresh sshd for each test, and a site that tests may break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.runners.ssh import Question, SshRunner
from tests.testbed.fixtures import TestbedSite
from tests.testbed.local_sshd import LocalSshd, running


class Person:
    """A prompter that knows the answers, and remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    def ask(self, *, site: str, title: str, questions: Any) -> list[str]:
        """The next answers."""
        assert site == "testing"
        assert isinstance(title, str)
        self.asked.extend(questions)
        return [self.answers.pop(0) for _ in questions]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[LocalSshd]:
    """A real sshd with keys of its own."""
    with running(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def runner_for() -> Iterator[Callable[..., SshRunner]]:
    """Makes runners that are closed after the test."""
    made: list[SshRunner] = []

    def make(options: dict[str, Any], *, prompter: Person | None = None, **more: Any) -> SshRunner:
        made.append(SshRunner(site="testing", options={**options, **more}, prompter=prompter))
        return made[-1]

    yield make
    for runner in made:
        runner.close()


@pytest.fixture
def fragile(testbed: Any) -> TestbedSite:
    """A real site whose daemons, cables and mains the tests may break."""
    return testbed.site("psnc", DBD=0, NODES=1)
