"""Recorded calls of another framework's formulas, made again in jaxdict."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np


def load(framework):
    """What ``benchmarks/parity_formulas.py --record`` wrote."""
    return json.loads((Path(__file__).parent / "recorded" / f"formulas_{framework}.json").read_text())


def by_name(calls):
    """The calls of each function."""
    found = {}
    for call in calls:
        found.setdefault(call["call"], []).append(call)
    return found


def weighing(shape):
    """The factors by which the recording made one number of a result."""
    return 1 + np.arange(np.prod(shape)).reshape(shape) / 10


def check(function, call, dtype, tolerance):
    """Value and gradients of a recorded call, to ``tolerance`` of the largest number; a capital name is a class."""
    arrays = {name: jnp.asarray(a) for name, a in call["arrays"].items()}
    arrays = {n: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a for n, a in arrays.items()}
    options = call["options"]
    made = call["call"][0].isupper()
    # Other reductions and the classes have the gradients of these, which cost most of the time.
    names = [] if made or options.get("reduction") in ("sum", "none") else list(call["gradients"])

    def valued(*floats):
        given = {**arrays, **dict(zip(names, floats, strict=True))}
        return function(**options)(**given) if made else function(**given, **options)

    def total(*floats):
        value = valued(*floats)
        return jnp.sum(value * jnp.asarray(weighing(value.shape), value.dtype)), value

    if not names:
        close(valued(), call["value"], tolerance, call)
        return
    compiled = jax.jit(jax.grad(total, tuple(range(len(names))), has_aux=True))  # one program, not one an operation
    gradients, value = compiled(*(arrays[n] for n in names))
    close(value, call["value"], tolerance, call)
    for name, gradient in zip(names, gradients, strict=True):
        close(gradient, call["gradients"][name], tolerance, call)


def close(ours, theirs, tolerance, about=""):
    theirs = np.asarray(theirs, np.float64)
    largest = max(1.0, float(np.max(np.abs(theirs), initial=0, where=np.isfinite(theirs))))
    np.testing.assert_allclose(
        np.asarray(ours, np.float64), theirs, rtol=0, atol=tolerance * largest, err_msg=str(about)
    )


def check_draws(init, record, levels):
    """Quantiles of draws, to a sampling error of either side; the ends of a bounded distribution to 0.2 %."""
    w = np.asarray(init(3, tuple(record["shape"])), np.float64)
    ours, theirs = np.quantile(w, levels), np.array(record["quantiles"])
    spread = theirs[-2] - theirs[1]  # from 1 % to 99 %
    np.testing.assert_allclose(ours[2:-2], theirs[2:-2], rtol=0, atol=0.02 * spread)
    np.testing.assert_allclose(ours[[1, -2]], theirs[[1, -2]], rtol=0, atol=0.05 * spread)
    bounded = theirs[-1] - theirs[0] < 1.1 * spread
    if bounded:
        np.testing.assert_allclose(ours[[0, -1]], theirs[[0, -1]], rtol=0, atol=0.002 * spread)
    assert (ours[-1] - ours[0] < 1.1 * spread) == bounded


def train_norm(layer, batches):
    """Outputs of the batches in training, running averages where there are some, output of the first at test time."""
    params, state, _ = layer.init(jax.random.key(0), batches[0].shape[1:])
    outputs = []
    for batch in batches:
        output, state = layer.apply(params, state, batch, train=True)
        outputs.append(output)
    averages = [state["mean"], state["variance"]] if state else []
    return [*outputs, *averages, layer.apply(params, state, batches[0])[0]]
