"""Where data may lie, and what may leave when something is made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metadata.errors import InvalidInputError, PolicyError

_KEYS = ("release", "sites")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What an owner asks for some data. `Policy()` asks for nothing.

    >>> Policy(sites=frozenset({"agh"}), release=("heatmap",)).allows("lrz")
    False
    """

    sites: frozenset[str] | None = None
    """The data may lie at these sites only. None: anywhere. Empty: nowhere, when owners contradict each other."""
    release: tuple[str, ...] = ()
    """Output names and media types that are free when made of this data. Sorted; empty when `sites` is None."""

    def __post_init__(self) -> None:
        """One spelling for one meaning, so that equal policies compare equal."""
        release = () if self.sites is None else tuple(sorted(set(self.release)))
        object.__setattr__(self, "sites", None if self.sites is None else frozenset(self.sites))
        object.__setattr__(self, "release", release)

    @property
    def restricted(self) -> bool:
        """True when there is a site at which the data may not lie."""
        return self.sites is not None

    def allows(self, site: str) -> bool:
        """True when the data may lie at `site`."""
        return self.sites is None or site in self.sites

    def releases(self, *, output_name: str, media_type: str = "") -> bool:
        """True when an output of this name or media type is free although it was made of this data."""
        return not self.restricted or output_name in self.release or media_type in self.release

    def to_document(self) -> dict[str, Any]:
        """The policy as JSON-ready fields; `from_document` reads them back."""
        return {"sites": None if self.sites is None else sorted(self.sites), "release": list(self.release)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any] | None) -> Policy:
        """The policy that `document` describes; None describes the free one.

        Raises InvalidInputError for an unknown key, for anything but lists of names, and for a release without
        sites, which would forbid nothing.
        """
        if document is None:
            return ANYWHERE
        if not isinstance(document, Mapping) or set(document) - set(_KEYS):
            raise InvalidInputError(
                f"not a policy: {document!r}. Write {{sites: [names of sites], release: [names of outputs]}}"
            )
        sites = _names(document.get("sites"), key="sites")
        release = _names(document.get("release"), key="release")
        if release and sites is None:
            raise InvalidInputError("a policy that names no sites forbids nothing to release; add sites: [...]")
        return cls(sites=None if sites is None else frozenset(sites), release=release or ())

    def __str__(self) -> str:
        if self.sites is None:
            return "may lie anywhere"
        free = f"; free when made of it: {', '.join(self.release)}" if self.release else ""
        return f"may lie only at: {', '.join(sorted(self.sites)) or 'no site'}{free}"


ANYWHERE = Policy()
"""The policy of data that nobody restricted."""


def _names(value: Any, *, key: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name.strip() for name in value):
        raise InvalidInputError(f"{key} of a policy is {value!r}; write a list of names, such as {key}: [agh]")
    return tuple(value)


def combined(policies: Iterable[Policy]) -> Policy:
    """What all owners together allow: the sites, and the releases, that every restricting policy names."""
    # A policy without restriction has nothing to release and must not empty what the others release.
    restricting = [(policy.sites, policy.release) for policy in policies if policy.sites is not None]
    if not restricting:
        return ANYWHERE
    sites = frozenset.intersection(*(sites for sites, _ in restricting))
    release = frozenset.intersection(*(frozenset(release) for _, release in restricting))
    return Policy(sites=sites, release=tuple(release))


def derived(policies: Iterable[Policy], *, output_name: str, media_type: str = "") -> Policy:
    """The policy of a result: what its inputs' policies ask for together, less those that release it."""
    return combined(
        policy for policy in policies if not policy.releases(output_name=output_name, media_type=media_type)
    )


def check_move(policy: Policy, destination_site: str, *, what: str) -> None:
    """Returns when `policy` lets the data lie at `destination_site`.

    Args:
        policy: Everything that is asked for the data, as `Catalogue.policies` gives it.
        destination_site: Where the data would go.
        what: The data, named so that a person finds it, such as `dataset://camelyon17/patient_004.tif`.

    Raises:
        PolicyError: The policy forbids it. Trying again does not help.
    """
    if policy.allows(destination_site):
        return
    advice = "Let the step run at one of these sites" if policy.sites else "Its owners' policies contradict each other"
    message = f"{what} must not go to {destination_site}: its policy says that it {policy}. "
    raise PolicyError(f"{message}{advice}, or ask the owner to change the policy", site=destination_site)
