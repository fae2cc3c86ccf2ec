"""Independent float64 twins of the losses, and data that suits each."""

import mpmath
import numpy as np


def log_softmax(z):
    top = z.max(-1, keepdims=True)
    return z - top - np.log(np.exp(z - top).sum(-1, keepdims=True))


def huber_terms(p, y, delta=1.0):
    d = np.abs(p - y)
    return np.where(d <= delta, d * d / 2, delta * d - delta * delta / 2)


def bernoulli_terms(z, y):
    return y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z))


def focal_terms(z, y, gamma=2.0):
    p = 1 / (1 + np.exp(-z))
    return (y * (1 - p) + (1 - y) * p) ** gamma * bernoulli_terms(z, y)


def cosine(p, y):
    return (p * y).sum(-1) / np.sqrt((p * p).sum(-1) * (y * y).sum(-1))


# name -> the terms
TERMS = {
    "l1": lambda p, y: np.abs(p - y),
    "l2": lambda p, y: (p - y) ** 2 / 2,
    "mean_squared_error": lambda p, y: (p - y) ** 2,
    "mean_absolute_error": lambda p, y: np.abs(p - y),
    "huber": huber_terms,
    "log_cosh": lambda p, y: np.log(np.cosh(p - y)),
    "gaussian_nll": lambda p, y: (p - y) ** 2 / 2,
    "poisson_nll": lambda p, y: np.exp(p) - y * p,
    "sigmoid_cross_entropy": bernoulli_terms,
    "focal": focal_terms,
    "softmax_cross_entropy": lambda z, y: -y * log_softmax(z),
    "cross_entropy": lambda p, y: -y * np.log(p),
    "binary_cross_entropy": lambda p, y: -y * np.log(p) - (1 - y) * np.log(1 - p),
    "kl_divergence": lambda p, y: y * np.log(y / p),
    "hinge": lambda p, y: np.maximum(0, 1 - p * y),
    "squared_hinge": lambda p, y: np.maximum(0, 1 - p * y) ** 2,
    "cosine_similarity": cosine,
    "cosine_distance": lambda p, y: 1 - cosine(p, y),
}
MEANS = {"mean_squared_error", "mean_absolute_error"}
PROBABILITIES = {"cross_entropy", "binary_cross_entropy", "kl_divergence"}
HINGES = {"hinge", "squared_hinge"}
WHOLE = {"cosine_similarity", "cosine_distance"}  # without terms
VECTORS = {"softmax_cross_entropy", *WHOLE}

LABELLED = {
    "sparse_softmax_cross_entropy": lambda z, hot: -(hot * log_softmax(z)).sum(-1),
    "sparse_cross_entropy": lambda p, hot: -np.log((p * hot).sum(-1)),
    "categorical_hinge": lambda s, hot: np.maximum(0, 1 + np.where(hot > 0, -np.inf, s).max(-1) - (s * hot).sum(-1)),
    "multiclass_hinge": lambda s, hot: np.where(
        hot > 0, 0, np.maximum(0, 1 + s - (s * hot).sum(-1, keepdims=True))
    ).sum(-1),
}

_RNG = np.random.default_rng(7)
P = _RNG.normal(0.3, 2.0, (4, 3)).astype(np.float32)
Y = _RNG.dirichlet([0.7, 1.1, 2.0], 4).astype(np.float32)  # not symmetric, sums to 1, off the predictions
Q = _RNG.dirichlet([1.3, 0.9, 2.0], 4).astype(np.float32)
SIGNS = np.array([[1, -1, 1], [-1, -1, 1], [1, 1, -1], [-1, 1, 1]], np.float32)
LABELS = np.array([2, 0, 1, 1])


def data(name):
    """Predictions and targets in the loss's domain."""
    if name in LABELLED:
        return (Q if name == "sparse_cross_entropy" else P), LABELS
    return (Q if name in PROBABILITIES else P), (SIGNS if name in HINGES else Y)


def oracle(name, p, y, axis=-1, **options):
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    if name in VECTORS and axis is not None:
        p, y, axis = np.moveaxis(p, axis, -1), np.moveaxis(y, axis, -1), -1
    terms = TERMS[name](p, y, **options)
    if name in WHOLE or axis is None:
        return terms
    return terms.mean(axis) if name in MEANS else terms.sum(axis)


def slope(name, p, y, argument=0, h=1e-6, **options):
    """Central differences of the oracle's total by every element of one argument."""
    arrays = [np.asarray(p, np.float64), np.asarray(y, np.float64)]
    result = np.zeros_like(arrays[argument])
    for index in np.ndindex(result.shape):
        ends = []
        for step in (h, -h):
            moved = [a.copy() for a in arrays]
            moved[argument][index] += step
            ends.append(oracle(name, *moved, **options).sum())
        result[index] = (ends[0] - ends[1]) / (2 * h)
    return result


def ulps(got, exact):
    """Errors in units of the last place of the correctly rounded float32 result."""
    rounded = np.array([np.float32(float(e)) for e in exact])
    unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(np.float32).tiny)).astype(np.float64)
    return np.array(
        [abs(float(mpmath.mpf(float(g)) - e)) / u for g, e, u in zip(np.ravel(got), exact, unit, strict=True)]
    )
