"""JSON-LD entities, gathered so that each is described once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Entity = dict[str, Any]
Reference = dict[str, str]


def reference(identifier: str) -> Reference:
    """What stands where an entity is meant."""
    return {"@id": identifier}


class Graph:
    """Entities by `@id`, in the order in which they were first described."""

    def __init__(self) -> None:
        self.entities: dict[str, Entity] = {}
        self._links: set[tuple[str, str, str]] = set()

    def __contains__(self, identifier: str) -> bool:
        return identifier in self.entities

    def add(self, entity: Entity) -> Reference:
        """Adds the entity without its empty properties. What was described before keeps its first description."""
        kept = {key: value for key, value in entity.items() if value not in (None, "", [], {})}
        self.entities.setdefault(entity["@id"], kept)
        return reference(entity["@id"])

    def link(self, subject: str, word: str, target: str) -> None:
        """One more `word` of the entity `subject`; a second time changes nothing."""
        if (subject, word, target) not in self._links:
            self._links.add((subject, word, target))
            self.entities[subject].setdefault(word, []).append(reference(target))

    def exemplify(self, parameter: str, values: Iterable[Reference]) -> None:
        """Says that each value was given to, or made for, a formal parameter."""
        for value in values:
            self.link(parameter, "workExample", value["@id"])
            self.link(value["@id"], "exampleOfWork", parameter)

    def of_type(self, kind: str) -> list[str]:
        """The `@id` of every entity of this type."""
        return [name for name, entity in self.entities.items() if kind in _types(entity)]


def _types(entity: Entity) -> list[str]:
    kinds = entity["@type"]
    return kinds if isinstance(kinds, list) else [kinds]
