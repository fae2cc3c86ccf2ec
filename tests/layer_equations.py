"""Layers beside their equations: what is shown is run in float64 NumPy on the layer's own parameters."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import expressions
from jaxdict import _expression

# How each layer is built, where it needs more than its name.
ARGUMENTS = {
    "dense": (4,), "perceptron": (4,), "activation": ("tanh",), "embedding": (7, 3), "reshape": ((3, 2),),
    "conv": (4, (3, 2)),
    "depthwise_conv": ((3, 2),), "conv_transpose": (4, (3, 2)), "max_pool": ((3, 2),), "average_pool": ((3, 2),),
    "dropout": (0.4,), "alpha_dropout": (0.4,), "gaussian_dropout": (0.4,), "gaussian_noise": (0.4,),
    "group_norm": (3,),
}  # fmt: skip
OPTIONS = {
    "conv": {"strides": (1, 2), "padding": [(1, 2), 0], "dilation": (2, 1)},
    "depthwise_conv": {"strides": (1, 2), "padding": "same"},
    "conv_transpose": {"strides": (2, 3), "padding": [(1, 0), -1], "dilation": (1, 2)},
    "max_pool": {"strides": (1, 2), "padding": "same"}, "average_pool": {"strides": (1, 2), "padding": "same"},
    "batch_renorm": {"r_max": 1.3, "d_max": 0.4},
}  # fmt: skip
STATISTICS_AXIS = {"batch_norm": 0, "batch_renorm": 0, "global_max_pool": (1, 2), "global_average_pool": (1, 2)}
FIRST = {
    "conv": (1, 0),
    "conv_transpose": (1, -1),
    "depthwise_conv": (1, 0),
    "max_pool": (1, 0),
    "average_pool": (1, 0),
}
SHAPES = {**dict.fromkeys([*FIRST, "global_max_pool", "global_average_pool"], (4, 5, 3)), "embedding": (4,)}


def check(entry):
    """A layer in training, float64, against its equation."""
    name, rng = entry.name, np.random.default_rng(1)
    layer = entry.function(*ARGUMENTS.get(name, ()), **OPTIONS.get(name, {}))
    shape: Any = SHAPES.get(name, (6,))
    shape = ((6,), (6,)) if name in ("add", "concatenate") else shape
    told = {}

    def start(key):
        params, state, told["shape"] = layer.init(key, shape)
        return params, state

    started = jax.eval_shape(start, jax.random.key(2))
    params, state = jax.tree.map(lambda a: rng.uniform(0.1, 1.3, a.shape), started)
    declared = told["shape"]
    if name == "embedding":
        x = rng.integers(0, 7, (9, *shape))
    else:
        x = jax.tree.map(lambda s: rng.normal(0.5, 1.5, (9, *s)), shape, is_leaf=lambda s: isinstance(s[0], int))

    def run(params, state, x, key):
        y, _ = layer.apply(params, state, x, key=key, train=True)
        if name.startswith("gaussian"):  # what it draws
            return y, jax.random.normal(key, x.shape, x.dtype)
        if name.endswith("dropout"):  # what it keeps
            alike = (jnp.ones_like(x), jnp.zeros_like(x))
            ones, zeros = (layer.apply({}, {}, each, key=key, train=True)[0] for each in alike)
            return y, ones != zeros
        return y, None

    with jax.enable_x64(True):
        y, drawn = jax.tree.map(lambda a: np.asarray(a, float), jax.jit(run)(params, state, x, jax.random.key(3)))
    assert y.shape == (9, *declared)
    scope = {
        "x": x, "b": drawn, "n": drawn, "p": 0.4, "sigma_": 0.4, "W": params.get("kernel"), "f": np.tanh,
        "gamma": params.get("scale"), "beta": params.get("offset", params.get("beta")), "alpha": params.get("alpha"),
        "epsilon": entry.defaults.get("eps"), "mu": state.get("mean"), "v": state.get("variance"),
        "r_max": 1.3, "d_max": 0.4,
    }  # fmt: skip
    vocabulary = _expression.numpy_vocabulary(STATISTICS_AXIS.get(name, -1))
    if "bias" in params:
        scope["b"] = params["bias"]
    if name in FIRST:
        windows(name, scope, vocabulary, x, params.get("kernel"), declared)
    elif name in ("add", "concatenate"):
        scope |= {"x1": x[0], "x2": x[1], "n": 6, "i": np.arange(12)}
        vocabulary["take"] = lambda a, at: a[:, np.clip(at, 0, 5)]
    elif name == "embedding":
        vocabulary["take"] = lambda table, at: table[at]
    elif name == "group_norm":
        scope |= {"x": x.reshape(9, 3, 2), "gamma": scope["gamma"].reshape(3, 2), "beta": scope["beta"].reshape(3, 2)}
    shown = _expression.evaluate(entry.expression, scope, vocabulary)
    rtol = 1e-6 if name.endswith("dropout") else 1e-11  # a rate is rounded to float32
    expressions.agree(y, np.reshape(shown, y.shape), name, rtol=rtol, atol=1e-12)


def windows(name, scope, vocabulary, x, kernel, declared):
    """Places as the equations of windows speak of them: i of the output, k of the window; sums go over k."""
    options, sizes = OPTIONS[name], ARGUMENTS[name][-1]
    places = lambda lengths: np.array(list(itertools.product(*map(range, lengths))))  # noqa: E731
    i, k = places(declared[:-1])[:, None, :], places(sizes)[None, :, :]
    outside = {"max_pool": -np.inf, "average_pool": np.nan}.get(name, 0.0)

    def value(at):
        whole = np.round(at).astype(int)
        there = np.all((whole >= 0) & (whole < x.shape[1:3]) & (np.abs(at - whole) < 1e-9), -1)
        row, column = np.moveaxis(np.where(there[..., None], whole, 0), -1, 0)
        return np.where(there[..., None], x[:, row, column], outside)

    def weight(at):
        row, column = np.moveaxis(at, -1, 0)
        found = kernel[row, column][0]
        return found[:, 0] if name == "depthwise_conv" else found

    scope |= {"i": i, "k": k, "s": np.array(options["strides"]), "d": np.array(options.get("dilation", (1, 1)))}
    scope |= {"p": np.array(FIRST[name]), "x": value, "W": weight}
    vocabulary |= {
        "take": lambda array, at: array(at), "sum": lambda a: a.sum(-2), "largest": lambda a: a.max(-2),
        "mean": lambda a: np.nanmean(a, -2), "MatMult": lambda a, w: np.einsum("bikc,kcf->bikf", a, w),
    }  # fmt: skip
