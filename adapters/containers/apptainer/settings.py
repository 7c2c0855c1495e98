"""What a site file may say about Apptainer, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from metadata.errors import InvalidSiteError


@dataclass(frozen=True, kw_only=True)
class ApptainerSettings:
    """What a site file may say about the runtime."""

    executable: str = "apptainer"
    """`apptainer`, `singularity`, or the full path of either."""

    nv: bool = True
    """NVIDIA's driver is brought into the image of a step that asks for GPUs."""

    rocm: bool = False
    """AMD's is, and NVIDIA's is not."""

    binds: tuple[str, ...] = ()
    """Folders of the site that every image sees, read-only: `/path`, or `/path:/path/inside`."""

    contain: bool = False
    """The site's own mounts (/tmp, /dev...) stay outside too; scratch files go to the job's directory."""

    @property
    def prefix(self) -> str:
        """What stands before the name of a variable that shall be set inside."""
        sister = self.executable.rpartition("/")[2].startswith("singularity")
        return "SINGULARITYENV_" if sister else "APPTAINERENV_"

    def bound(self) -> list[tuple[str, str]]:
        """(outside, inside) of each of `binds`."""
        return [_pair(bind) for bind in self.binds]


def parse_settings(site: str, options: Mapping[str, Any]) -> ApptainerSettings:
    """The settings that a site file's mapping states. Raises InvalidSiteError for anything else."""
    known = {name: type(default) for name, default in vars(ApptainerSettings()).items()}
    for name, value in options.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
            raise InvalidSiteError(f"site {site!r}: apptainer has no option {name!r}; {hint}", site=site)
        wanted = list if known[name] is tuple else known[name]
        if not isinstance(value, wanted):
            raise InvalidSiteError(f"site {site!r}: apptainer's {name!r} is a {wanted.__name__}", site=site)
    binds = tuple(options.get("binds", ()))
    for bind in binds:
        if not isinstance(bind, str) or not all(side.startswith("/") for side in _pair(bind)):
            raise InvalidSiteError(
                f"site {site!r}: {bind!r} cannot be bound; write '/path' or '/path:/path/inside'", site=site
            )
    return ApptainerSettings(**{**options, "binds": binds})


def _pair(bind: str) -> tuple[str, str]:
    outside, _, inside = bind.partition(":")
    return outside, inside or outside
