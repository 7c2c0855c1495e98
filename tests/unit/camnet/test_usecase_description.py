"""usecase.yaml and the command lines say the same; nothing else keeps them together."""

import argparse
import importlib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import usecases.camnet

FOLDER = Path(usecases.camnet.__file__).parent
USECASE = YAML(typ="safe").load(FOLDER / "usecase.yaml")
LAYERS = USECASE["layers"]


def actions_of(layer: str) -> dict[str, argparse.Action]:
    module = importlib.import_module(f"usecases.camnet.{layer}.__main__")
    return {option: action for action in module._parser()._actions for option in action.option_strings}


def option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


@pytest.mark.parametrize("layer", LAYERS)
def test_every_input_is_an_option(layer):
    """A required one is required, and a list takes several files."""
    actions = actions_of(layer)
    for name, entry in LAYERS[layer]["inputs"].items():
        action = actions[option_of(name)]
        assert action.required != entry.get("optional", False)
        assert (action.nargs == "+") == (entry["type"] == "file[]")


@pytest.mark.parametrize("layer", LAYERS)
def test_every_parameter_is_an_option_with_the_same_default_and_choices(layer):
    """The form of a portal and the command line then do the same when nothing is filled in."""
    actions = actions_of(layer)
    for name, entry in LAYERS[layer]["parameters"].items():
        action = actions[option_of(name)]
        assert (name, action.default) == (name, entry["default"])
        if action.choices:
            assert list(action.choices) == entry["choices"]


@pytest.mark.parametrize("layer", LAYERS)
def test_defaults_lie_within_their_bounds(layer):
    """And the bounds are accepted by the command line."""
    actions = actions_of(layer)
    for name, entry in LAYERS[layer]["parameters"].items():
        for bound in ("minimum", "maximum"):
            if bound in entry:
                assert actions[option_of(name)].type(str(entry[bound])) == entry[bound]
        assert entry.get("minimum", entry["default"]) <= entry["default"] <= entry.get("maximum", entry["default"])


def test_the_demo_workflow_uses_what_the_layers_offer():
    """Its steps name existing layers, inputs, parameters and outputs."""
    steps = YAML(typ="safe").load(FOLDER / USECASE["demo"]["workflow"])["steps"]
    for step in steps.values():
        layer = LAYERS[step["usecase"].removeprefix("camnet/")]
        assert set(step.get("with", {})) <= set(layer["parameters"])
        assert set(step.get("scatter", {})) | set(step.get("in", {})) <= set(layer["inputs"])
        sources = [source for source in step.get("in", {}).values() if isinstance(source, str)]
        for source, output in (text.split(".") for text in sources):
            assert output in LAYERS[steps[source]["usecase"].removeprefix("camnet/")]["outputs"]
