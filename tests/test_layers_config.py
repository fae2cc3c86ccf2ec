"""Configs of layers by name: what is written is built, mistakes name the layer, digits_conv is as good as it says."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import jaxdict as jd
from jaxdict import config
from jaxdict.config import ConfigError

DIGITS = Path(__file__).parents[1] / "configs" / "digits_conv.toml"


def test_digits_conv_is_built():
    experiment = config.build(config.load(DIGITS))
    assert [name for name, _ in experiment.model.parts][:3] == ["reshape_1", "conv_1", "activation_1"]
    assert jd.models.summary(experiment.model, (64,)).splitlines()[-1].endswith("output (10,)")
    again = config.parse(tomllib.loads(experiment.config.to_toml()))
    assert again == experiment.config
    assert config.build(again).model is experiment.model
    assert jd.models.spec_from_json(jd.models.spec_to_json(experiment.model)) is experiment.model


def table(*layers, **model):
    return {"data": {"source": "digits"}, "model": {"kind": "serial", "layers": list(layers), **model}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (table({"layer": "convv"}), "model.layers[0].layer: no layer is called 'convv'; did you mean 'conv'"),
        (
            table({"layer": "flatten"}, {"layer": "conv", "feature": 3}),
            "model.layers[1].feature is no option of conv; did you mean 'model.layers[1].features'?",
        ),
        (table({"layer": "conv", "features": 3}), "model.layers[0].kernel_size is missing; conv needs it"),
        (table({"features": 3}), "model.layers[0].layer is missing"),
        (table(), "model.layers must hold one or more; got []"),
        (table({"layer": "flatten"}, hidden=[3]), "model.hidden is of an mlp; a serial model holds kind and layers"),
        ({"data": {"source": "digits"}, "model": {"kind": "serial"}}, "model.layers is missing; such as"),
        (
            {"data": {"source": "digits"}, "model": {"layers": [{"layer": "flatten"}]}},
            'model.layers is of a serial model; give model.kind = "serial" too',
        ),
        (table({"layer": "flatten"}, kind="seril"), "model.kind must be 'mlp' or 'serial'; got 'seril'"),
    ],
)
def test_mistakes_in_the_text(given, message):
    with pytest.raises(ConfigError) as caught:
        config.parse(given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"layer": "dense", "width": 0}, "model.layers[0].width must be >= 1; got 0"),
        ({"layer": "activation", "function": "rellu"}, "model.layers[0]: no activation is called 'rellu'"),
        ({"layer": "activation", "function": "leaky_relu", "slope": 0.1}, "has no argument 'slope'"),
        (
            {"layer": "conv", "features": 4, "kernel_size": [3, 3]},
            "model: layer 'conv_1': conv(4, (3, 3)) takes (height",
        ),
    ],
)
def test_mistakes_when_built(layer, message):
    with pytest.raises(ConfigError) as caught:
        config.build(config.parse(table(layer)))
    assert message in str(caught.value)


@pytest.mark.slow
def test_five_seeds_reach_what_the_config_says(tmp_path):
    found = []
    for seed in range(5):
        read = config.load(DIGITS, [f"data.seed={seed}", f"training.seed={seed}", "output.tensorboard=false"])
        config.run(read, tmp_path / str(seed))
        found.append(json.loads((tmp_path / str(seed) / "result.json").read_text())["test"]["accuracy"])
    assert np.mean(found) >= 0.985, found
