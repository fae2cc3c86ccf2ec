"""Packed parameters: the same numbers as leaf by leaf, types kept, and what is not elementwise is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdict import optimizers

RNG = np.random.default_rng(0)
PARAMS = {
    "dense": {"kernel": jnp.asarray(RNG.normal(size=(3, 2)), jnp.float32), "bias": jnp.zeros((0,), jnp.float32)},
    "scale": jnp.asarray(RNG.normal(size=4), jnp.bfloat16),
    "shift": jnp.float32(0.5),
}
LAYOUT = optimizers.packing(PARAMS)


def gradients(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(y, np.float32))


def test_packing_and_unpacking():
    vectors = LAYOUT.pack(PARAMS)
    assert {name: (v.shape, v.dtype.name) for name, v in vectors.items()} == {
        "float32": ((7,), "float32"), "bfloat16": ((4,), "bfloat16"),
    }  # fmt: skip
    same(LAYOUT.unpack(vectors), PARAMS)
    assert hash(LAYOUT) == hash(optimizers.packing(jax.eval_shape(lambda: PARAMS)))


def test_the_gradient_by_the_vectors_is_the_packed_gradient():
    def loss(params):
        return sum(jnp.sum(jnp.sin(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(params))

    packed = jax.grad(lambda v: loss(LAYOUT.unpack(v)))(LAYOUT.pack(PARAMS))
    same(LAYOUT.unpack(packed), jax.grad(loss)(PARAMS))


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.adam(1e-2),
        pytest.param(optimizers.rmsprop(1e-2, centered=True, momentum=0.9), marks=pytest.mark.slow),
        optax.chain(optimizers.weight_decay(1e-2), optimizers.momentum(1e-2), optimizers.clip_by_value(1.0)),
        pytest.param(optax.adamw(1e-2), marks=pytest.mark.slow),
    ],
    ids=["adam", "rmsprop", "chain", "adamw"],
)
@pytest.mark.parametrize("arrive_packed", [False, True])
def test_the_same_as_leaf_by_leaf(optimizer, arrive_packed):
    packed = optimizers.packed(optimizer, LAYOUT)
    params, vectors = PARAMS, LAYOUT.pack(PARAMS)
    state, packed_state = optimizer.init(params), packed.init(vectors)
    for step in range(3):
        given = gradients(step)
        updates, state = optimizer.update(given, state, params)
        params = optax.apply_updates(params, updates)
        updates, packed_state = packed.update(LAYOUT.pack(given) if arrive_packed else given, packed_state, vectors)
        vectors = optax.apply_updates(vectors, updates)
    for a, b in zip(jax.tree.leaves(LAYOUT.unpack(vectors)), jax.tree.leaves(params), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.clip_by_norm(1.0),
        optax.chain(optimizers.clip_by_global_norm(1.0), optimizers.adam(1e-3)),
        optax.lamb(1e-3),
        optax.adafactor(1e-3),
        optax.masked(optimizers.adam(1e-3), {"w": True}),
    ],
    ids=["norm", "global_norm", "lamb", "adafactor", "masked"],
)
def test_a_rule_that_is_not_elementwise_is_refused(optimizer):
    with pytest.raises(ValueError, match="only elementwise rules can be packed"):
        optimizers.packed(optimizer, LAYOUT)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"dense/kernel must have shape \(3, 2\); got \(2, 3\)"):
        LAYOUT.pack({**PARAMS, "dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(0)}})
    with pytest.raises(ValueError, match="the tree must be built as the packed one"):
        LAYOUT.pack({"scale": jnp.ones(4)})
    with pytest.raises(ValueError, match=r"the vectors must have the shapes .*'float32': \(7,\)"):
        LAYOUT.unpack({"float32": jnp.ones(6)})
    with pytest.raises(TypeError, match="parameters must be floating; got int32"):
        optimizers.packing({"a": jnp.ones(3, jnp.int32)})
