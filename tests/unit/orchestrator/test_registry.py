"""Adapters by name."""

from __future__ import annotations

import importlib.util
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


def test_a_mover_whose_program_or_library_is_missing_is_not_offered_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are offered all the same."""
    before = registry.open_movers()
    programs = {program for mover in before.values() for program in mover.capabilities.needs}
    monkeypatch.setattr("shutil.which", lambda _: None)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "globus_sdk" else find_spec(name))
    monkeypatch.delitem(sys.modules, "adapters.movers.globus", raising=False)
    after = registry.open_movers()
    assert "posix" in after
    assert "globus" not in after
    assert not [name for name in after if before[name].capabilities.needs]
    with pytest.raises(AdapterUnavailableError, match="pip install globus_sdk"):
        registry.open_mover("globus")
    for name in before.keys() - after.keys() - {"globus"}:
        with pytest.raises(AdapterUnavailableError, match="|".join(programs)):
            registry.open_mover(name)
