"""The job service at a real SLURM cluster, in this process and as a command."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.operations import Workspace
from orchestrator.settings import find_settings
from tests.integration.slurm.conftest import Clusters, clusters  # noqa: F401 - a fixture


@pytest.fixture
def workspace(clusters: Clusters) -> Iterator[Workspace]:  # noqa: F811
    """The home of the clusters, open."""
    with Workspace(find_settings(home=clusters.home, environment={})) as opened:
        yield opened


@dataclass(kw_only=True)
class Person:
    """A prompter that knows the answers, and remembers what it was asked."""

    answers: list[str]
    asked: list[str] = field(default_factory=list)

    def ask(self, *, site: str, title: str, questions: Any) -> list[str]:
        """The next answers."""
        assert (site, type(title)) == ("agh", str)
        self.asked += [question.text for question in questions]
        return [self.answers.pop(0) for _ in questions]
