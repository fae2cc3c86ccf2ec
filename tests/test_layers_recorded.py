"""Layers beside recorded runs of PyTorch and Keras: outputs, gradients by inputs and parameters, running averages."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import layers


@pytest.fixture(scope="module")
def runs():
    """What ``benchmarks/parity_layers.py --record`` wrote, and the same of jaxdict, by one program."""
    with np.load(Path(__file__).parent / "recorded" / "layers.npz") as file:
        held = dict(file)
    cases = json.loads(str(held.pop("about")))["cases"]
    arrays = [{name: held[f"{i} {name}"] for name in case["names"]} for i, case in enumerate(cases)]
    with jax.enable_x64(True):
        found = jax.jit(lambda a: [ours(case, given) for case, given in zip(cases, a, strict=True)])(arrays)
    return list(zip(cases, arrays, found, strict=True))


def ours(case, arrays):
    """Output, gradients and averages of one setting; the output counts by the recording's factors."""
    layer = getattr(layers, case["layer"])(*case["args"], **case["options"])
    params, state = ({n.split(" ")[1]: a for n, a in arrays.items() if n.startswith(p)} for p in ("param ", "from "))
    inputs = [a for n, a in arrays.items() if n.startswith("x ")]

    def output(inputs, params):
        return layer.apply(params, state, inputs[0] if len(inputs) == 1 else inputs, train=True)

    floats = [a for a in inputs if a.dtype == jnp.float64]
    y, pull, kept = jax.vjp(lambda x, params: output(x or inputs, params), floats, params, has_aux=True)
    by_x, by_p = pull(jnp.cos(jnp.arange(y.size) / 3).reshape(y.shape))
    found = {"output": y} | {f"gradient input {i}": g for i, g in enumerate(by_x)}
    return found | {f"gradient {n}": g for n, g in by_p.items()} | {f"state {n}": a for n, a in kept.items()}


def test_layers_are_those_of_torch_and_keras(runs):
    assert len(runs) >= 20
    for case, arrays, found in runs:
        told = {n for n in arrays if n.split(" ")[0] in ("output", "gradient", "state")}
        assert set(found) == told
        for name in told:
            scale = max(1.0, np.abs(arrays[name]).max(initial=0))
            np.testing.assert_allclose(found[name], arrays[name], rtol=0, atol=1e-12 * scale, err_msg=f"{name}: {case}")
