"""What only a person can answer on the way into a site, and the way to ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that a site wants to know from a person."""

    text: str
    """The site's own words, e.g. `Verification code:`."""

    secret: bool
    """Whether the answer must not be shown while it is typed."""


class Prompter(Protocol):
    """A way to ask a person. Called from the thread that opens the connection."""

    def ask(self, *, site: str, title: str, questions: Sequence[Question]) -> Sequence[str]:
        """One answer to each question, in their order. Raises LoginNeededError when nobody is there."""
