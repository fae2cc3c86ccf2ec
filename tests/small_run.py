"""A small run that the tests of training share: three clusters, a network of one hidden layer."""

import functools

import jax
import numpy as np

import jaxdict as jd

LOSS = "sparse_softmax_cross_entropy"
CLASSES = 3


def problem(count=50, features=4, seed=0):
    """Three clusters, hard enough that the loss stays away from 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    return rng.normal(size=(count, features)).astype(np.float32) + 0.8 * labels[:, None].astype(np.float32), labels


X, Y = problem()
HELD = problem(23, seed=1)
MODEL = jd.models.mlp([4, 8, CLASSES], activation="tanh")
fit = functools.partial(jd.fit, MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, batch_size=16)


@functools.cache
def base():
    return fit(epochs=6, validation=HELD, metrics="accuracy")


def same_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)
