"""What is kept: pins, rules, and carrying the rules out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from metadata.errors import InvalidInputError, NotFoundError
from metadata.globs import compile_glob
from metadata.records import FileRecord, PinRecord, ReplicaRecord, RuleRecord
from metadata.retention import Release
from orchestrator.documents import did_you_mean
from orchestrator.operations.data.carrying import carry, seconds
from orchestrator.operations.data.copies import ours, sights
from orchestrator.operations.data.errands import Carried, Errand, FileProgress, store_at
from orchestrator.operations.data.removing import let_go
from orchestrator.operations.data.selections import selected
from orchestrator.operations.workspace import Workspace
from orchestrator.settings import HERE
from staging.ports import FileDigest
from staging.upkeep import Content, Copy, Place, Removal, Sight, UpkeepPlan, plan_upkeep


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What the rules asked for, and what came of it."""

    plan: UpkeepPlan
    carried: tuple[Carried, ...] = ()
    """The new copies; none of them yet when nothing was carried out."""
    removed: tuple[ReplicaRecord, ...] = ()
    done: bool = False
    """Whether it was carried out, and not only planned."""

    @property
    def good(self) -> bool:
        """Whether every rule is met now, or will be by the plan."""
        return not self.plan.shortfalls and all(row.good for row in self.carried)


def pin_data(workspace: Workspace, names: Iterable[str], *, site: str | None = None) -> list[PinRecord]:
    """The datasets, with all that will be in them, or the files, as they are now, stay where they lie.

    Nobody takes their names or copies away until they are unpinned: at one `site`, or anywhere. Returns all pins of
    these datasets. Raises NotFoundError.
    """
    for dataset, path in _pinnable(workspace, names, site):
        workspace.retention.pin(dataset, path, site=site or "")
    return _pins_of(workspace, names)


def unpin_data(workspace: Workspace, names: Iterable[str], *, site: str | None = None) -> list[PinRecord]:
    """The pins of exactly these names, and of this site or else of everywhere, are gone. Returns those that are left.

    Raises NotFoundError when there was none.
    """
    for dataset, path in _pinnable(workspace, names, site):
        if not workspace.retention.unpin(dataset, path, site=site or ""):
            name, where = f"dataset://{dataset}/{path}".rstrip("/"), f"at {site}" if site else "everywhere"
            raise NotFoundError(f"{name} is not pinned {where}; see: convoy data pin --list {dataset}")
    return _pins_of(workspace, names)


def list_pins(workspace: Workspace, names: Iterable[str] = ()) -> list[PinRecord]:
    """All pins, or those of the datasets that are named. Raises NotFoundError."""
    return _pins_of(workspace, names) if list(names) else workspace.retention.pins()


def _pinnable(workspace: Workspace, names: Iterable[str], site: str | None) -> list[tuple[str, str]]:
    if site is not None and site not in workspace.storages:
        workspace.site(site)
    return [(row.name.dataset, row.name.path) for name in names for row in selected(workspace, name)]


def _pins_of(workspace: Workspace, names: Iterable[str]) -> list[PinRecord]:
    datasets = {row.name.dataset for name in names for row in selected(workspace, name)}
    return [pin for dataset in sorted(datasets) for pin in workspace.retention.pins(dataset)]


def add_rule(
    workspace: Workspace,
    target: str,
    *,
    copies: int | None = None,
    at: Iterable[str] = (),
    keep_s: float | None = None,
    site: str | None = None,
) -> RuleRecord:
    """A rule for the copies of some files, carried out by `apply_rules`.

    Args:
        workspace: The home.
        target: A pattern for datasets, and behind a slash one for their files: `camelyon*`, `study/train/**`.
        copies: At so many sites at least.
        at: Names or labels of sites, each of which asks for one of the copies.
        keep_s: A copy that nobody used for so long may go, as long as another stays.
        site: The name or label of the sites where `keep_s` holds; all without it.

    Raises:
        InvalidInputError: It asks for nothing, or for a site or label that there is not.
    """
    places = tuple(at)
    if copies is None and not places and keep_s is None:
        raise InvalidInputError("a rule asks for copies, for places, or says how long unused copies are kept")
    if site is not None and keep_s is None:
        raise InvalidInputError(
            "a site belongs to how long copies are kept there; for a copy at a site, name it in `at`"
        )
    if (copies is not None and copies < 1) or (keep_s is not None and keep_s < 0):
        raise InvalidInputError("a rule asks for one copy or more, and keeps copies for no negative time")
    compile_glob(target)
    words = {word for place in _places(workspace) for word in (place.site, *place.labels)}
    for word in (*places, *([site] if site else [])):
        if word not in words:
            raise InvalidInputError(f"no site is named or labelled {word!r}{did_you_mean(word, words)}")
    rule = RuleRecord(
        id=0, target=target.removeprefix("dataset://").rstrip("/"), copies=copies, at=places, keep_s=keep_s,
        site=site or "",
    )  # fmt: skip
    return workspace.retention.add_rule(rule)


def list_rules(workspace: Workspace) -> list[RuleRecord]:
    """All rules, the oldest first."""
    return workspace.retention.rules()


def remove_rule(workspace: Workspace, rule_id: int) -> None:
    """The rule holds no longer. Raises NotFoundError."""
    workspace.retention.remove_rule(rule_id)


def apply_rules(
    workspace: Workspace,
    *,
    confirm: Callable[[UpkeepPlan], bool],
    progress: FileProgress | None = None,
) -> Upkeep:
    """The rules are carried out, if `confirm` says so: copies are made, and those that nothing asks for go.

    Copies are made before any goes. No copy goes that was not seen to have another, or whose new copy did not arrive.
    """
    plan = _planned(workspace)
    if not confirm(plan):
        return Upkeep(plan=plan)
    carried = _make_copies(workspace, plan, progress)
    missing = {row.content.sha256 for row, told in zip(plan.copies, carried, strict=True) if not told.good}
    return Upkeep(plan=plan, carried=tuple(carried), removed=tuple(_remove(workspace, plan, missing)), done=True)


def _make_copies(workspace: Workspace, plan: UpkeepPlan, progress: FileProgress | None) -> list[Carried]:
    known = workspace.catalogue.replicas({row.content.sha256 for row in plan.copies})
    errands = [
        Errand(
            name=row.content.name,
            content=FileDigest(size_bytes=row.content.size_bytes, sha256=row.content.sha256),
            copies=tuple(known[row.content.sha256]),
            destination=store_at(workspace, row.site, row.content.sha256),
            policy=row.content.policy,
        )
        for row in plan.copies
    ]
    return carry(workspace, errands, asked_for=False, progress=progress)


def _remove(workspace: Workspace, plan: UpkeepPlan, missing: set[str]) -> list[ReplicaRecord]:
    """What is still as the plan saw it: whatever was used, pinned or taken away since then stays."""
    meant = [row for row in plan.removals if row.content.sha256 not in missing]
    wanted = (
        {_key(row) for row in _planned(workspace, {row.content.sha256 for row in meant}).removals} if meant else set()
    )
    still = [row for row in meant if _key(row) in wanted]
    known = workspace.catalogue.replicas({row.content.sha256 for row in still})
    by_place = {(copy.site, copy.path): copy for copies in known.values() for copy in copies}
    releases = [
        Release(
            copy=by_place[row.copy.site, row.copy.path],
            survivors=tuple(
                by_place[copy.site, copy.path] for copy in row.survivors if (copy.site, copy.path) in by_place
            ),
        )
        for row in still
    ]
    return let_go(workspace, [release for release in releases if release.survivors])


def _key(row: Removal) -> tuple[str, str]:
    return row.copy.site, row.copy.path


# -- what the plan is made from --------------------------------------------------------------------------------------


def _planned(workspace: Workspace, only: set[str] | None = None) -> UpkeepPlan:
    now = time.time()
    contents, routes = _contents(workspace, now, only), workspace.routes

    def way(source: str, destination: str, size_bytes: int) -> float:
        return seconds(routes, source, destination, size_bytes)

    return plan_upkeep(contents, _places(workspace), seconds=way, now=now)


def _places(workspace: Workspace) -> list[Place]:
    sites = workspace.site_file.sites.items()
    return [Place(site=HERE), *(Place(site=name, labels=frozenset(site.labels)) for name, site in sites)]


@dataclass(kw_only=True)
class _Ruled:
    """A content and the rules for any of its names."""

    file: FileRecord
    rules: dict[int, RuleRecord] = field(default_factory=dict)


def _contents(workspace: Workspace, now: float, only: set[str] | None) -> list[Content]:
    ruled = {sha256: row for sha256, row in _ruled(workspace).items() if only is None or sha256 in only}
    known = workspace.catalogue.replicas(ruled)
    policies, pinned = workspace.catalogue.policies(ruled), workspace.retention.pinned_sites(ruled)
    needed = workspace.retention.needed()
    longest = max((rule.keep_s or 0.0 for row in ruled.values() for rule in row.rules.values()), default=0.0)
    used = workspace.retention.last_uses(since=now - longest)
    seen = sights(workspace, (copy for copies in known.values() for copy in copies))
    return [
        Content(
            name=f"dataset://{row.file.dataset}/{row.file.path}",
            sha256=sha256,
            size_bytes=row.file.size_bytes,
            copies=tuple(_copy(workspace, copy, seen, used) for copy in known[sha256] if seen[copy] is not None),
            rules=tuple(row.rules[number] for number in sorted(row.rules)),
            pinned=pinned.get(sha256, frozenset()),
            needed=sha256 in needed,
            policy=policies[sha256],
        )
        for sha256, row in ruled.items()
    ]


def _ruled(workspace: Workspace) -> dict[str, _Ruled]:
    found: dict[str, _Ruled] = {}
    for rule in workspace.retention.rules():
        for file in _targeted(workspace, rule):
            found.setdefault(file.sha256, _Ruled(file=file)).rules[rule.id] = rule
    return found


def _targeted(workspace: Workspace, rule: RuleRecord) -> Iterable[FileRecord]:
    """A rule may name what is not there yet."""
    try:
        return [file for selection in selected(workspace, rule.target) for file in selection.files]
    except NotFoundError:
        return []


def _copy(
    workspace: Workspace,
    copy: ReplicaRecord,
    seen: Mapping[ReplicaRecord, Sight | None],
    used: Mapping[tuple[str, str], float],
) -> Copy:
    return Copy(
        site=copy.site,
        path=copy.path,
        sight=seen[copy] or Sight.HIDDEN,
        ours=ours(workspace, copy),
        used_at=used.get((copy.sha256, copy.site), 0.0),
    )
