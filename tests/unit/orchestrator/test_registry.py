"""Adapters by name."""

from __future__ import annotations

import importlib
import sys

import pytest

from metadata.errors import AdapterUnavailableError
from orchestrator import registry

KINDS = ("executors", "schedulers", "runners", "storages", "movers", "containers")


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_are_listed_without_being_loaded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose library is missing is still named."""
    loaded = [name for name in sys.modules if name.startswith(f"adapters.{kind}.")]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    names = registry.names(kind)
    assert names == sorted(names)
    assert names
    assert not [name for name in names if name.startswith("_")]
    assert not [name for name in sys.modules if name.startswith(f"adapters.{kind}.")]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in registry.names(kind)])
def test_every_adapter_can_be_loaded_or_says_what_it_needs(kind: str, name: str) -> None:
    """A file in the folder is enough to be found."""
    try:
        adapter = registry.load(kind, name)
    except AdapterUnavailableError as error:
        pytest.skip(str(error))
    assert isinstance(adapter, type)


def test_an_unknown_adapter_is_told_with_what_was_meant() -> None:
    """And with its kind."""
    with pytest.raises(
        AdapterUnavailableError, match="there is no adapter 'posxi' among the movers; did you mean posix"
    ):
        registry.load("movers", "posxi")


def test_a_missing_library_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter and the library are two different names."""

    def absent(name: str) -> object:
        raise ModuleNotFoundError("No module named 'toylib'", name="toylib")

    monkeypatch.setattr(registry, "names", lambda _kind: ["posix"])
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(AdapterUnavailableError, match="movers/posix needs toylib, which is not installed: pip install"):
        registry.load("movers", "posix")


def test_a_mover_whose_program_is_missing_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No route is planned that cannot be gone."""
    monkeypatch.setattr(registry.shutil, "which", lambda program: None if program == "rsync" else f"/bin/{program}")
    assert {"posix", "tar", "scp"} <= registry.open_movers().keys()
    assert "rsync" not in registry.open_movers()
