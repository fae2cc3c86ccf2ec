"""The product of a dense layer: its derivatives beside float64 NumPy, for each order that a gradient is written in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict.layers._product import product

SHAPES = {"few columns": (40, 12, 5), "one column": (9, 12, 1), "small": (16, 20, 48), "neither": (300, 30, 40)}


@pytest.fixture(params=SHAPES)
def arrays(request):
    batch, inputs, outputs = SHAPES[request.param]
    rng = np.random.default_rng(0)
    shapes = [(batch, inputs), (inputs, outputs), (batch, outputs), (batch, inputs), (inputs, outputs)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_derivatives(arrays):
    x, kernel, g, dx, dkernel = arrays
    exact = [a.astype(np.float64) for a in arrays]
    y, pullback = jax.jit(lambda *a: jax.vjp(product, *a))(x, kernel)
    change = jax.jit(lambda p, t: jax.jvp(product, p, t))((x, kernel), (dx, dkernel))[1]
    X, K, G, DX, DK = exact
    for ours, theirs in zip((y, *pullback(g), change), (X @ K, G @ K.T, X.T @ G, DX @ K + X @ DK), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_which_products_are_turned(name):
    """The copies, which XLA must not undo, are there where they pay, and nothing else is."""
    batch, inputs, outputs = SHAPES[name]
    x, kernel = jnp.ones((batch, inputs)), jnp.ones((inputs, outputs))
    slope = jax.make_jaxpr(jax.grad(lambda k: jnp.sum(product(x, k) ** 2)))(kernel)
    copies = {"few columns": 2, "one column": 2, "small": 1, "neither": 0}
    assert str(slope).count("optimization_barrier") == copies[name]


def test_second_derivatives(arrays):
    x, kernel, g, dx, dkernel = arrays

    def value(x, kernel):
        return jnp.sum(jnp.tanh(product(x, kernel)) * g)

    def plain(x, kernel):
        return jnp.sum(jnp.tanh(x @ kernel) * g)

    ours, theirs = (
        jax.jit(lambda p, t, f=f: jax.jvp(jax.grad(f, (0, 1)), p, t)[1])((x, kernel), (dx, dkernel))
        for f in (value, plain)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), ours, theirs)


def test_batched(arrays):
    x, kernel, g, *_ = arrays

    def slopes(f, x, kernel):
        return jax.vjp(f, x, kernel)[1](g)

    xs, kernels = jnp.stack([x, 2 * x]), jnp.stack([kernel, -kernel])
    for axes in ((0, 0), (0, None), (None, 0)):
        at = tuple(many if axis == 0 else one for axis, many, one in zip(axes, (xs, kernels), (x, kernel), strict=True))
        ours, theirs = (jax.jit(jax.vmap(lambda x, k, f=f: slopes(f, x, k), axes))(*at) for f in (product, jnp.matmul))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), ours, theirs)


def test_what_is_not_asked_for_is_not_computed():
    x, kernel = jnp.ones((16, 20)), jnp.ones((20, 40))
    for by, dots in ((0, 1), (1, 1), ((0, 1), 2)):
        slope = jax.make_jaxpr(jax.grad(lambda x, k: jnp.sum(product(x, k) ** 2), by))(x, kernel)
        assert str(slope).count("dot_general") == 1 + dots


def test_other_types_and_ranks_are_as_they_were():
    for shape, dtype in (((4, 8), jnp.bfloat16), ((2, 4, 8), jnp.float32), ((8,), jnp.float32)):
        x, kernel = jnp.ones(shape, dtype), jnp.ones((8, 3), dtype)
        assert str(jax.make_jaxpr(product)(x, kernel)) == str(jax.make_jaxpr(jnp.matmul)(x, kernel))
