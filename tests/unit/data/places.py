"""Where things lie, seen past the code under test."""

from __future__ import annotations

from pathlib import Path

from orchestrator.operations import Unwanted, Workspace
from orchestrator.operations.data.errands import store_at


def names(workspace: Workspace, dataset: str) -> list[str]:
    """The paths in a dataset."""
    return [file.path for file in workspace.catalogue.files(dataset)]


def sites(workspace: Workspace, dataset: str, path: str) -> list[str]:
    """Where the catalogue says that a file lies."""
    sha256 = workspace.catalogue.file(dataset, path).sha256
    return sorted(copy.site for copy in workspace.catalogue.replicas([sha256])[sha256])


def stored(workspace: Workspace, site: str, dataset: str, path: str) -> Path:
    """The file of the site's store, whether it is there or not."""
    return Path(store_at(workspace, site, workspace.catalogue.file(dataset, path).sha256).path)


def yes(_: Unwanted) -> bool:
    """Consents."""
    return True


def no(_: Unwanted) -> bool:
    """Refuses."""
    return False
