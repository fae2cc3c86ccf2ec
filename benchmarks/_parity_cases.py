"""Calls of the frameworks' formulas: a name, arrays, options, and by which arrays to differentiate.

Arrays are random but for the points where a derivative jumps. Every option, reduction and branch has a call.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

KINKS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0)


class Case(NamedTuple):
    call: str
    arrays: dict[str, np.ndarray]
    options: dict[str, Any]
    by: tuple[str, ...]


class Draws:
    """Arrays of three decimals, so that they are short in a file and the same in every type to its rounding."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int, scale: float = 2.0) -> np.ndarray:
        return np.round(self.rng.normal(size=shape) * scale + 0.1, 3)

    def positive(self, *shape: int) -> np.ndarray:
        return np.round(self.rng.uniform(0.05, 3, shape), 3)

    def inside(self, *shape: int) -> np.ndarray:
        return np.round(self.rng.uniform(0.02, 0.98, shape), 3)

    def shares(self, *shape: int) -> np.ndarray:
        p = self.rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        return np.round(p * 1024) / 1024  # sums that are not quite 1, exact in every type

    def labels(self, high: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, high, shape)

    def signs(self, *shape: int) -> np.ndarray:
        return 2.0 * self.rng.integers(0, 2, shape) - 1


TORCH_ACTIVATIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "relu": ({},), "leaky_relu": ({}, {"negative_slope": 0.2}), "rrelu": ({}, {"lower": 0.1, "upper": 0.4}),
    "elu": ({}, {"alpha": 0.7}), "selu": ({},), "celu": ({}, {"alpha": 0.6}),
    "gelu": ({}, {"approximate": "tanh"}), "silu": ({},), "mish": ({},),
    "softplus": ({}, {"beta": 2.0, "threshold": 1.5}), "softsign": ({},), "tanh": ({},), "sigmoid": ({},),
    "logsigmoid": ({},), "tanhshrink": ({},), "softshrink": ({}, {"lambd": 0.2}), "hardshrink": ({}, {"lambd": 0.2}),
    "hardtanh": ({}, {"min_val": -0.5, "max_val": 2.0}), "hardsigmoid": ({},), "hardswish": ({},), "relu6": ({},),
    "threshold": ({"threshold": 0.5, "value": -2.0},),
}  # fmt: skip
KERAS_ACTIVATIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "relu": (
        {}, {"negative_slope": 0.3}, {"max_value": 6.0}, {"threshold": 0.7}, {"threshold": -0.7, "max_value": 1.5},
        {"negative_slope": 0.3, "max_value": 2.5, "threshold": 0.7},
    ),
    "leaky_relu": ({}, {"negative_slope": 0.05}), "relu6": ({},), "elu": ({}, {"alpha": 0.7}), "selu": ({},),
    "celu": ({}, {"alpha": 0.6}), "gelu": ({}, {"approximate": True}), "silu": ({},), "hard_silu": ({},),
    "mish": ({},), "sigmoid": ({},), "hard_sigmoid": ({},), "log_sigmoid": ({},), "sparse_sigmoid": ({},),
    "softplus": ({},), "sparse_plus": ({},), "squareplus": ({}, {"b": 1}), "softsign": ({},), "tanh": ({},),
    "hard_tanh": ({},), "tanh_shrink": ({},), "soft_shrink": ({}, {"threshold": 0.2}),
    "hard_shrink": ({}, {"threshold": 0.2}), "threshold": ({"threshold": 0.7, "default_value": -2.0},),
    "exponential": ({},), "linear": ({},),
}  # fmt: skip


def torch_cases(seed: int, n: int = 4, c: int = 3) -> Iterator[Case]:
    d = Draws(seed)
    points = np.concatenate([KINKS, d.normal(n * c), [-20.0, 25.0]])
    for name, options in TORCH_ACTIVATIONS.items():
        for option in options:
            yield Case(name, {"input": points}, option, ("input",))
    for shape in ((n, c), (2, c, n)):
        yield Case("prelu", {"input": d.normal(*shape), "weight": d.inside(c)}, {}, ("input", "weight"))
    yield Case("prelu", {"input": d.normal(n, c), "weight": d.inside(1)}, {}, ("input", "weight"))
    yield Case("glu", {"input": d.normal(n, 2 * c)}, {}, ("input",))
    yield Case("glu", {"input": d.normal(2 * n, c)}, {"dim": 0}, ("input",))
    for name in ("softmax", "softmin", "log_softmax"):
        yield Case(name, {"input": d.normal(n, c)}, {"dim": 0}, ("input",))
        yield Case(name, {"input": d.normal(n, c, 2)}, {"dim": -2}, ("input",))
        yield Case(name, {"input": d.normal(n, c)}, {"dim": None}, ("input",))
    for reduction in ("mean", "sum", "none"):
        yield from _torch_losses(d, n, c, {"reduction": reduction})
    yield from _torch_options(d, n, c)


def _torch_losses(d: Draws, n: int, c: int, how: dict[str, Any]) -> Iterator[Case]:
    x, y, w = d.normal(n, c), d.normal(n, c), d.positive(n, c)
    both = ("input", "target")
    labels, weight = d.labels(c, n), d.positive(c)
    labels[0] = -100
    logs = np.round(np.log(d.shares(n, c) + 0.01), 3)
    yield Case("cross_entropy", {"input": x, "target": labels, "weight": weight}, how, ("input",))
    smooth = {**how, "label_smoothing": 0.3}
    yield Case("cross_entropy", {"input": x, "target": labels, "weight": weight}, smooth, ("input",))
    yield Case("cross_entropy", {"input": x, "target": d.shares(n, c), "weight": weight}, smooth, both)
    yield Case("nll_loss", {"input": logs, "target": labels, "weight": weight}, how, ("input",))
    yield Case("binary_cross_entropy", {"input": d.inside(n, c), "target": d.inside(n, c), "weight": w}, how, both)
    named = {"input": x, "target": d.inside(n, c), "weight": w, "pos_weight": weight}
    yield Case("binary_cross_entropy_with_logits", named, how, both)
    for name in ("mse_loss", "l1_loss"):
        yield Case(name, {"input": x, "target": y}, how, both)
        yield Case(name, {"input": x, "target": y, "weight": w}, how, ("input",))
    yield Case("huber_loss", {"input": x, "target": y, "weight": w}, {**how, "delta": 0.7}, both)
    yield Case("smooth_l1_loss", {"input": x, "target": y}, {**how, "beta": 0.6}, both)
    yield Case("kl_div", {"input": logs, "target": d.shares(n, c)}, how, ("input",))
    yield Case("kl_div", {"input": logs, "target": logs[::-1]}, {**how, "log_target": True}, both)
    yield Case("hinge_embedding_loss", {"input": d.positive(n, c), "target": d.signs(n, c)}, how, ("input",))
    yield Case("multi_margin_loss", {"input": x, "target": np.abs(labels) % c, "weight": weight}, how, ("input",))
    pairs = {"input1": x, "input2": y, "target": d.signs(n)}
    yield Case("cosine_embedding_loss", pairs, {**how, "margin": 0.1}, ("input1", "input2"))
    yield Case("poisson_nll_loss", {"input": x, "target": d.positive(n, c)}, {**how, "full": True}, both)
    named = {"input": x, "target": y, "var": d.positive(n, c)}
    yield Case("gaussian_nll_loss", named, {**how, "full": True}, (*both, "var"))


def _torch_options(d: Draws, n: int, c: int) -> Iterator[Case]:
    x, y = d.normal(n, c), d.normal(n, c)
    one, images = d.normal(c), d.normal(2, c, 3, n)
    pixels = d.labels(c, 2, 3, n)
    yield Case("cross_entropy", {"input": x, "target": d.labels(c, n)}, {}, ("input",))
    yield Case("cross_entropy", {"input": one, "target": np.array(1)}, {"label_smoothing": 0.2}, ("input",))
    yield Case("cross_entropy", {"input": images, "target": pixels}, {"ignore_index": 1}, ("input",))
    yield Case("cross_entropy", {"input": x, "target": d.labels(c, n)}, {"size_average": False}, ("input",))
    yield Case("cross_entropy", {"input": x, "target": np.full(n, -100)}, {}, ("input",))
    yield Case("nll_loss", {"input": -np.abs(images), "target": pixels}, {"ignore_index": 0}, ("input",))
    ends = {"input": np.array([0.0, 1.0, 0.0, 1.0, 0.5]), "target": np.array([1.0, 0.0, 0.0, 1.0, 0.3])}
    yield Case("binary_cross_entropy", ends, {}, ("input",))
    yield Case("binary_cross_entropy", ends, {"reduction": "none"}, ("input",))
    yield Case("binary_cross_entropy_with_logits", {"input": 30 * x, "target": d.inside(n, c)}, {}, ("input",))
    yield Case("smooth_l1_loss", {"input": x, "target": y}, {"beta": 0.0}, ("input",))
    yield Case("huber_loss", {"input": np.array([1.5, -1.5, 0.5]), "target": np.full(3, 0.5)}, {}, ("input",))
    zero = np.array([[0.25, 0.75, 0.0]])
    yield Case("kl_div", {"input": -np.abs(x[:1, :3]), "target": zero}, {"reduction": "batchmean"}, ("input",))
    yield Case("hinge_embedding_loss", {"input": d.positive(c), "target": np.zeros(c)}, {"margin": 2.0}, ("input",))
    edge = {"input": np.array([[1.0, 0.0, 0.3], [2.0, 2.5, -1.0]]), "target": np.array([0, 2])}
    for options in ({}, {"p": 2, "margin": 0.4}):
        yield Case("multi_margin_loss", edge, options, ("input",))
        yield Case("multi_margin_loss", {"input": one, "target": np.array(2)}, options, ("input",))
    for dim in (0, 1):
        yield Case("cosine_similarity", {"x1": x, "x2": y}, {"dim": dim}, ("x1", "x2"))
    tiny = {"x1": np.array([[3e-9, 4e-9], [0.0, 0.0]]), "x2": np.array([[1.0, 2.0], [1.0, -1.0]])}
    yield Case("cosine_similarity", tiny, {}, ("x1", "x2"))
    yield Case("cosine_similarity", {"x1": x, "x2": y}, {"eps": 100.0}, ("x1", "x2"))
    yield Case(
        "cosine_embedding_loss", {"input1": one, "input2": d.normal(c), "target": np.array(1.0)}, {}, ("input1",)
    )
    rates = {"input": d.positive(n, c), "target": d.positive(n, c)}
    yield Case("poisson_nll_loss", rates, {"log_input": False, "eps": 0.1}, ("input", "target"))
    for var in (d.positive(n), d.positive(n, 1), np.zeros((n, c))):
        yield Case("gaussian_nll_loss", {"input": x, "target": y, "var": var}, {"eps": 0.2}, ("input", "var"))


def keras_cases(seed: int, n: int = 4, c: int = 3) -> Iterator[Case]:
    d = Draws(seed)
    points = np.concatenate([d.normal(n * c), [-0.9, 0.45, 1.2, 2.6, 6.5, -20.0]])
    for name, options in KERAS_ACTIVATIONS.items():
        for option in options:
            yield Case(name, {"x": points}, option, ("x",))
    yield Case("glu", {"x": d.normal(n, 2 * c)}, {}, ("x",))
    yield Case("glu", {"x": d.normal(2 * n, c)}, {"axis": 0}, ("x",))
    for name in ("softmax", "log_softmax"):
        yield Case(name, {"x": d.normal(n, c)}, {}, ("x",))
        yield Case(name, {"x": d.normal(n, c, 2)}, {"axis": 1}, ("x",))
    weights = {"sample_weight": d.positive(n)}
    for name, arrays, options in _keras_losses(d, n, c):
        yield Case(name, arrays, options, ("y_pred",))
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none"):
            given = arrays if reduction == "sum" else {**arrays, **weights}
            yield Case(_class_name(name), given, {**options, "reduction": reduction}, ("y_pred",))
    yield from _keras_options(d, n, c)


def _class_name(name: str) -> str:
    special = {"kl_divergence": "KLDivergence", "log_cosh": "LogCosh"}
    return special.get(name, "".join(part.capitalize() for part in name.split("_")))


def _keras_losses(d: Draws, n: int, c: int) -> Iterator[tuple[str, dict[str, np.ndarray], dict[str, Any]]]:
    real = {"y_true": d.normal(n, c), "y_pred": d.normal(n, c)}
    for name in ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "log_cosh"):
        yield name, real, {}
    yield "mean_squared_logarithmic_error", {"y_true": d.normal(n, c), "y_pred": d.normal(n, c)}, {}
    yield "huber", real, {"delta": 0.7}
    yield "cosine_similarity", real, {}
    yield "poisson", {"y_true": d.positive(n, c), "y_pred": d.positive(n, c)}, {}
    yield "hinge", {"y_true": d.labels(2, n, c).astype(float), "y_pred": d.normal(n, c)}, {}
    yield "squared_hinge", {"y_true": d.signs(n, c), "y_pred": d.normal(n, c)}, {}
    hot = np.eye(c)[d.labels(c, n)]
    yield "categorical_hinge", {"y_true": hot, "y_pred": d.normal(n, c)}, {}
    yield "kl_divergence", {"y_true": d.shares(n, c), "y_pred": d.shares(n, c)}, {}
    given = {"y_true": d.inside(n, c), "y_pred": d.inside(n, c)}
    yield "binary_crossentropy", given, {"label_smoothing": 0.2}
    balance = {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5}
    yield "binary_focal_crossentropy", given, balance
    yield "categorical_crossentropy", {"y_true": hot, "y_pred": d.inside(n, c)}, {"label_smoothing": 0.2}
    yield "categorical_focal_crossentropy", {"y_true": hot, "y_pred": d.inside(n, c)}, {"gamma": 1.5}
    labels = d.labels(c, n)
    labels[0], labels[1] = 1, 0
    yield "sparse_categorical_crossentropy", {"y_true": labels, "y_pred": d.inside(n, c)}, {"ignore_class": 1}


def _keras_options(d: Draws, n: int, c: int) -> Iterator[Case]:
    x, hot = d.normal(n, c), np.eye(c)[d.labels(c, n)]
    logits = {"from_logits": True}
    for name, y in (
        ("binary_crossentropy", hot), ("categorical_crossentropy", hot), ("binary_focal_crossentropy", hot),
        ("categorical_focal_crossentropy", hot), ("sparse_categorical_crossentropy", d.labels(c, n)),
    ):  # fmt: skip
        yield Case(name, {"y_true": y, "y_pred": x}, logits, ("y_pred",))
    ends = {
        "y_true": np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]),
        "y_pred": np.array([[0.0, 1], [0, 1], [0.2, 0.2]]),
    }
    for name in ("binary_crossentropy", "categorical_crossentropy", "kl_divergence", "categorical_focal_crossentropy"):
        yield Case(name, ends, {}, ())
    mixed = d.signs(n, c)
    mixed[0, 0] = 0  # one 0 beside -1 and 1 is left as it is
    yield Case("hinge", {"y_true": mixed, "y_pred": x}, {}, ("y_pred",))
    yield Case("squared_hinge", {"y_true": np.ones((n, c)), "y_pred": x}, {}, ("y_pred",))
    yield Case("categorical_hinge", {"y_true": hot, "y_pred": x - 4}, {}, ("y_pred",))
    yield Case("cosine_similarity", {"y_true": x, "y_pred": d.normal(n, c)}, {"axis": 0}, ("y_pred",))
    column = {"y_true": d.normal(n), "y_pred": d.normal(n, 1)}
    yield Case("MeanSquaredError", column, {}, ("y_pred",))
    yield Case("MeanAbsoluteError", {**column, "sample_weight": d.positive(n, 1)}, {}, ("y_pred",))
    tokens = {"y_true": d.labels(c, n, 2), "y_pred": d.inside(n, 2, c), "sample_weight": d.positive(n, 1)}
    yield Case("SparseCategoricalCrossentropy", tokens, {"ignore_class": 0}, ("y_pred",))
    yield Case("Huber", {"y_true": x, "y_pred": x, "sample_weight": np.zeros(n)}, {}, ("y_pred",))


# (name, arguments, shape): initializers, whose draws are compared in distribution.
TORCH_KERNEL = (64, 32, 3, 3)
TORCH_INITIALIZERS: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    ("uniform_", {}, TORCH_KERNEL), ("uniform_", {"a": -0.3, "b": 0.7}, TORCH_KERNEL), ("normal_", {}, TORCH_KERNEL),
    ("normal_", {"mean": 0.4, "std": 0.2}, TORCH_KERNEL), ("trunc_normal_", {}, TORCH_KERNEL),
    ("trunc_normal_", {"std": 0.02}, TORCH_KERNEL),
    ("trunc_normal_", {"mean": 0.5, "std": 0.5, "a": 0.2, "b": 2.0}, TORCH_KERNEL),
    ("trunc_normal_", {"a": 4.0, "b": 6.0}, TORCH_KERNEL),
    ("xavier_uniform_", {"gain": 1.5}, TORCH_KERNEL), ("xavier_normal_", {}, TORCH_KERNEL),
    ("kaiming_uniform_", {}, TORCH_KERNEL), ("kaiming_uniform_", {"a": 5**0.5}, TORCH_KERNEL),
    ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "tanh"}, TORCH_KERNEL),
    ("kaiming_normal_", {"nonlinearity": "selu"}, TORCH_KERNEL),
    ("kaiming_uniform_", {}, (128, 2, 5, 5)),  # as of a grouped convolution
    ("sparse_", {"sparsity": 0.07}, (100, 200)), ("orthogonal_", {"gain": 2.0}, TORCH_KERNEL),
)  # fmt: skip
KERAS_KERNEL = (3, 3, 32, 64)
KERAS_INITIALIZERS: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    *((name, {}, KERAS_KERNEL) for name in (
        "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "RandomNormal",
        "TruncatedNormal", "RandomUniform", "VarianceScaling", "Orthogonal",
    )),
    ("VarianceScaling", {"scale": 0.5, "mode": "fan_out", "distribution": "untruncated_normal"}, KERAS_KERNEL),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "normal"}, KERAS_KERNEL),
    ("RandomUniform", {"minval": 0.1, "maxval": 0.7}, KERAS_KERNEL),
    ("HeUniform", {"input_axes": [2], "output_axes": [3]}, KERAS_KERNEL),
    ("HeUniform", {}, (20000,)), ("HeUniform", {}, (3, 3, 512, 4)),  # as of a bias, of a depthwise convolution
)  # fmt: skip
