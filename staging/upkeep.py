"""What rules ask of copies: which to make, and which may be taken away. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from metadata.policy import Policy
from metadata.records import RuleRecord

EVERYWHERE = ""
"""Stands for all sites where a pin or a rule may name one."""


class Sight(StrEnum):
    """What looking at a copy showed."""

    SEEN = "seen"
    """It is there, with the size and time that the catalogue knows, or its hash was right."""
    HIDDEN = "hidden"
    """Its site does not answer, or left the site file: nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of some content. One that is lost or wrong is none."""

    site: str
    path: str
    sight: Sight = Sight.SEEN
    ours: bool = True
    """Whether Convoy made it. What people put somewhere themselves is theirs, and stays."""
    used_at: float = 0.0
    """Seconds since the epoch; 0 when that is longer ago than any rule asks about."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Some content with all that is asked for it."""

    name: str
    """One of its names, for people."""
    sha256: str
    size_bytes: int
    copies: tuple[Copy, ...]
    rules: tuple[RuleRecord, ...] = ()
    """Those whose target has one of its names."""
    pinned: frozenset[str] = frozenset()
    """The sites where it must stay; EVERYWHERE for all."""
    needed: bool = False
    """Whether a run that has not ended reads, made or moves it."""
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site that may be given copies."""

    site: str
    labels: frozenset[str] = frozenset()

    def called(self, word: str) -> bool:
        """Whether a rule that says `word` means this site."""
        return word in (EVERYWHERE, self.site) or word in self.labels


@dataclass(frozen=True, kw_only=True)
class NewCopy:
    """A copy that a rule asks for."""

    content: Content
    source: Copy
    site: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A copy that nothing asks for any longer."""

    content: Content
    copy: Copy
    survivors: tuple[Copy, ...]
    """Copies that were seen and stay. At least one."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """Something that a rule asks for and nobody can do."""

    content: Content
    reason: str


@dataclass(frozen=True, kw_only=True)
class UpkeepPlan:
    """Everything that is to be done, each content by itself."""

    copies: tuple[NewCopy, ...] = ()
    removals: tuple[Removal, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()


Seconds = Callable[[str, str, int], float]
"""(source site, destination site, bytes) -> how long a transfer takes; infinite where there is no way."""


def plan_upkeep(contents: Sequence[Content], places: Sequence[Place], *, seconds: Seconds, now: float) -> UpkeepPlan:
    """What brings the copies of every content to what its rules ask.

    Copies are made before any is taken away. A copy is taken away only when Convoy made it, a rule says for how long
    such copies are kept and nobody used it for so long, no pin and no run holds it, every rule is still met without
    it, and another copy of the content was seen to be there.

    Args:
        contents: Each once, whatever number of names it has.
        places: The sites that there are.
        seconds: By which the nearest sources and destinations are chosen.
        now: Seconds since the epoch.
    """
    by_name = {place.site: place for place in places}
    plans = [_Content(content, by_name, seconds).planned(now) for content in contents]
    return UpkeepPlan(
        copies=tuple(row for plan in plans for row in plan.copies),
        removals=tuple(row for plan in plans for row in plan.removals),
        shortfalls=tuple(row for plan in plans for row in plan.shortfalls),
    )


class _Content:
    """One content while it is thought about."""

    def __init__(self, content: Content, places: Mapping[str, Place], seconds: Seconds) -> None:
        self._content = content
        self._places = places
        self._seconds = seconds
        self._seen = [copy for copy in content.copies if copy.sight is Sight.SEEN]
        self._added: dict[str, NewCopy] = {}
        self._shortfalls: list[Shortfall] = []

    def planned(self, now: float) -> UpkeepPlan:
        for rule in self._content.rules:
            if rule.copies or rule.at:
                self._meet(rule)
        return UpkeepPlan(
            copies=tuple(self._added.values()),
            removals=tuple(self._removals(now)),
            shortfalls=tuple(self._shortfalls),
        )

    # -- copies to make ------------------------------------------------------------------------------------------

    def _meet(self, rule: RuleRecord) -> None:
        if not self._seen:
            self._fall_short("no copy of it can be seen now")
            return
        told = f"rule {rule.id}: "
        holders = assigned(rule.at, (self._sites(), self._open_sites()), self._places)
        for site, index in holders.items():
            if site not in self._sites():
                self._add(site, reason=f"{told}one at {rule.at[index]}")
        for index in sorted(set(range(len(rule.at))) - set(holders.values())):
            self._fall_short(f"{told}one at {rule.at[index]}, and no such site may and can have it")
        for _ in range((rule.copies or 0) - len(self._sites())):
            nearest = self._open_sites()[:1]
            if not nearest:
                self._fall_short(f"{told}{rule.copies} copies, and no further site may and can have one")
                return
            self._add(nearest[0], reason=f"{told}{rule.copies} copies")

    def _add(self, site: str, *, reason: str) -> None:
        source = min(self._seen, key=lambda copy: (self._way(copy.site, site), copy.site, copy.path))
        self._added[site] = NewCopy(content=self._content, source=source, site=site, reason=reason)

    def _open_sites(self) -> list[str]:
        """The sites that may and can have a copy and have none, the nearest first."""
        taken = self._sites()
        ways = [
            (min((self._way(copy.site, site) for copy in self._seen), default=math.inf), site)
            for site in self._places
            if site not in taken and self._content.policy.allows(site)
        ]
        return [site for way, site in sorted(ways) if not math.isinf(way)]

    def _way(self, source: str, destination: str) -> float:
        return self._seconds(source, destination, self._content.size_bytes)

    def _sites(self) -> set[str]:
        return {copy.site for copy in self._content.copies} | set(self._added)

    def _fall_short(self, reason: str) -> None:
        self._shortfalls.append(Shortfall(content=self._content, reason=reason))

    # -- copies to take away -------------------------------------------------------------------------------------

    def _removals(self, now: float) -> Iterator[Removal]:
        """The longest unused first."""
        left = list(self._content.copies)
        for copy in sorted(self._seen, key=lambda copy: (copy.used_at, copy.site, copy.path)):
            keep_s = self._kept_for(copy)
            if keep_s is None or now - copy.used_at <= keep_s or self._held(copy):
                continue
            others = [other for other in left if other is not copy]
            survivors = tuple(other for other in others if other.sight is Sight.SEEN)
            if survivors and (copy.site in {other.site for other in survivors} or self._met_by(others)):
                left = others
                yield Removal(content=self._content, copy=copy, survivors=survivors, reason=_unused(copy, now, keep_s))

    def _kept_for(self, copy: Copy) -> float | None:
        """The longest that any rule keeps such a copy; None when no rule lets it go."""
        place = self._places.get(copy.site, Place(site=copy.site))
        return max(
            (rule.keep_s for rule in self._content.rules if rule.keep_s is not None and place.called(rule.site)),
            default=None,
        )

    def _held(self, copy: Copy) -> bool:
        pinned = bool(self._content.pinned & {EVERYWHERE, copy.site})
        return not copy.ours or self._content.needed or pinned

    def _met_by(self, copies: Sequence[Copy]) -> bool:
        """Whether every rule is met by these copies and the new ones; a hidden copy may never be seen again."""
        sites = {copy.site for copy in copies if copy.sight is Sight.SEEN} | set(self._added)
        return all(
            len(assigned(rule.at, (sites,), self._places)) == len(rule.at) and len(sites) >= (rule.copies or 0)
            for rule in self._content.rules
        )


def assigned(words: Sequence[str], groups: Sequence[Iterable[str]], places: Mapping[str, Place]) -> dict[str, int]:
    """A site of its own for as many words as can have one: site -> index of the word.

    Sites of an earlier group are used before those of a later one (augmenting paths never let go of a site that a
    word has already).
    """
    holders: dict[str, int] = {}
    offered: list[str] = []

    def augment(index: int, tried: set[str]) -> bool:
        for site in offered:
            if site not in tried and places.get(site, Place(site=site)).called(words[index]):
                tried.add(site)
                if site not in holders or augment(holders[site], tried):
                    holders[site] = index
                    return True
        return False

    for group in groups:
        offered += sorted(group) if isinstance(group, set) else group
        for index in range(len(words)):
            if index not in holders.values():
                augment(index, set())
    return holders


def _unused(copy: Copy, now: float, keep_s: float) -> str:
    day_s = 86400.0
    kept = f"kept for {keep_s / day_s:.3g} days"
    return f"unused for {(now - copy.used_at) / day_s:.3g} days, {kept}" if copy.used_at else f"unused, {kept}"
