"""Convolutions: their derivatives are laid out as they are, depthwise ones on CPU, vmap, fans; and pooling's edges."""

import functools
import re

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from jaxdict import initializers, layers
from jaxdict.layers import _convolve

ORDER = {1: "[b, 0, f]x[0, i, o]->[b, 0, f]", 2: "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}


@pytest.mark.parametrize("rank", ORDER)
def test_every_convolution_of_a_gradient_is_in_the_order_of_the_kernels(rank):
    """In any other, XLA runs it some fifty times slower within a loop on CPU."""
    layer = layers.conv(4, (3,) * rank, groups=2, strides=2)
    x = jax.ShapeDtypeStruct((2, *(7,) * rank, 4), jnp.float32)
    params = jax.eval_shape(lambda key: layer.init(key, x.shape[1:])[0], jax.random.key(0))

    def loss(params, x):
        return jnp.sum(layer.apply(params, {}, x)[0] ** 2)

    def twice(params, x):
        return jax.grad(lambda p: sum(jnp.sum(leaf) for leaf in jax.tree.leaves(jax.grad(loss)(p, x))))(params)

    for gradient, least in ((jax.grad(loss, (0, 1)), 3), (twice, 2)):
        text = jax.jit(gradient).lower(params, x).as_text()
        orders = re.findall(r"dim_numbers = (\S.*?), window", text)
        assert len(orders) >= least
        assert set(orders) == {ORDER[rank]}


# (strides, x dilation, kernel dilation, groups, inputs a group, outputs a group)
SETTINGS = [
    ((1, 1), (2, 3), (1, 1), 2, 2, 1), ((2, 3), (1, 1), (1, 1), 3, 1, 1), ((2, 1), (1, 1), (1, 1), 1, 2, 3),
    ((1, 1), (1, 1), (1, 2), 3, 1, 2),
]  # fmt: skip


@functools.partial(jax.jit, static_argnums=(0, 1))
def everything(function, steps, x, kernel):
    """Values, gradients, forward mode, and both mapped over."""
    apply = functools.partial(function, steps=steps)
    y, pull = jax.vjp(apply, x, kernel)
    many = jnp.stack([x, x + 1]), jnp.stack([kernel, 2 - kernel])
    mapped = [
        jax.vmap(apply, axes)(*(a if on is None else m for a, m, on in zip((x, kernel), many, axes, strict=True)))
        for axes in ((0, None), (None, 0), (0, 0))
    ]
    return y, pull(jnp.sin(y)), jax.jvp(apply, (x, kernel), (x * 2, jnp.cos(kernel)))[1], mapped


@pytest.mark.parametrize("setting", [*SETTINGS[:2], *(pytest.param(s, marks=pytest.mark.slow) for s in SETTINGS[2:])])
def test_derivatives_and_vmap_are_those_of_jaxs_own_convolution(setting):
    strides, x_dilation, kernel_dilation, groups, inputs, outputs = setting
    rng = np.random.default_rng(0)
    steps = _convolve.Steps(strides, ((1, 2), (0, 1)), x_dilation, kernel_dilation, groups)
    x, kernel = rng.normal(size=(2, 6, 7, groups * inputs)), rng.normal(size=(3, 2, inputs, groups * outputs))
    with jax.enable_x64(True):
        ours = everything(_convolve._primitive.bind, steps, x, kernel)
        theirs = everything(_convolve._evaluate, steps, x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11), ours, theirs)


def test_gradients_are_summed_over_the_axes_of_a_shard_map():
    mesh = jax.make_mesh((1,), ("data",), (AxisType.Auto,), devices=jax.devices()[:1])
    steps = _convolve.Steps((1,), ((1, 1),), (1,), (1,), 1)

    def loss(x, kernel):
        return jnp.sum(_convolve.convolve(x, kernel, *steps) ** 2)

    x, kernel, many = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2, 5, 2), (3, 2, 4), (1, 3, 2, 4)))
    by_data = jax.shard_map(jax.grad(loss, (0, 1)), mesh=mesh, in_specs=(P("data"), P()), out_specs=(P("data"), P()))
    by_kernel = jax.shard_map(
        jax.grad(lambda x, k: loss(x, k[0]), (0, 1)), mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P("data"))
    )
    assert [g.shape for g in jax.eval_shape(by_data, x, kernel)] == [x.shape, kernel.shape]
    assert [g.shape for g in jax.eval_shape(by_kernel, x, many)] == [x.shape, many.shape]


def test_no_examples_no_jit_and_any_number_of_examples():
    layer, params = layers.conv(4, 2, bias=False), {"kernel": np.ones((2, 2, 4), np.float32)}
    many = {"kernel": np.ones((2, 2, 2, 4), np.float32)}
    y, _ = jax.eval_shape(jax.vmap(layer.apply, (0, None, 0)), many, {}, jnp.ones((2, 0, 5, 2)))
    assert y.shape == (2, 0, 5, 4)
    with jax.disable_jit():
        assert layer.apply(params, {}, np.ones((1, 5, 2), np.float32))[0].shape == (1, 5, 4)
    (examples,) = jax.export.symbolic_shape("n")
    depthwise = {"kernel": np.ones((2, 1, 2), np.float32)}
    for layer, params in ((layers.depthwise_conv(2, bias=False), depthwise), (layers.max_pool(2), {})):
        run = jax.jit(lambda x, layer=layer, params=params: layer.apply(params, {}, x)[0])
        out = jax.export.export(run)(jax.ShapeDtypeStruct((examples, 5, 2), jnp.float32)).out_avals[0]
        assert out.shape[0] == examples


def test_depthwise_sums_of_narrow_floats_are_rounded_once():
    layer = layers.depthwise_conv(7, padding="valid", bias=False)
    kernel = jnp.array([256.0, *[1.0] * 6])[:, None, None] * jnp.ones((1, 1, 2))  # 256 + 1 is 256 in bfloat16
    y, _ = layer.apply({"kernel": kernel}, {}, jnp.ones((2, 7, 2), jnp.bfloat16))
    np.testing.assert_array_equal(np.asarray(y, np.float32), np.full((2, 1, 2), 262))


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("he_normal", "fan_in_uniform")]


@pytest.mark.parametrize("name", ["xavier_uniform", *SLOW])
def test_kernels_begin_with_the_fans_of_one_group(name):
    grouped = layers.conv(48, (3, 3), groups=4, initializer=name)
    depthwise = layers.depthwise_conv((5, 5), multiplier=2, initializer=name)
    start = jax.jit(lambda key: [grouped.init(key, (8, 8, 32))[0], depthwise.init(key, (8, 8, 64))[0]])
    for params, groups, fans in zip(start(jax.random.key(0)), (4, 64), ((72, 108), (25, 50)), strict=True):
        kernel, (n_in, n_out) = np.asarray(params["kernel"]), fans
        assert initializers.fans(kernel.shape, groups=groups) == fans
        variance = {"he_normal": 2 / n_in, "fan_in_uniform": 1 / (3 * n_in)}.get(name, 2 / (n_in + n_out))
        assert np.var(kernel) == pytest.approx(variance, rel=0.08)


def test_max_pool_of_padding_nan_and_equal_numbers():
    x = jnp.array([1.0, jnp.nan, -3.0, -2.0, -2.0, 5.0])[None, :, None]
    small, pair = layers.max_pool(3, strides=1, padding=1), layers.max_pool(2)
    large = layers.max_pool(65, strides=3, padding=64)

    @jax.jit
    def run(x):
        equal = jnp.full((1, 4, 1), -2.0)
        slope = jax.grad(lambda x: jnp.sum(pair.apply({}, {}, x)[0]))(equal)
        whole = pair.apply({}, {}, jnp.array([[[-9], [-7]]]))[0]
        return small.apply({}, {}, x)[0], large.apply({}, {}, x[:, 2:])[0], slope, whole

    y, z, slope, whole = run(x)
    np.testing.assert_array_equal(y.ravel(), [np.nan, np.nan, np.nan, -2, 5, 5])
    assert np.all((np.asarray(z) >= -3) & (np.asarray(z) <= 5))  # padding is never the largest
    np.testing.assert_array_equal(slope.ravel(), [1, 0, 1, 0])  # of equal ones the first
    np.testing.assert_array_equal(whole, [[[-7]]])


def test_average_pool_leaves_padding_out_unless_it_counts():
    x = jnp.arange(1.0, 7.0)[None, :, None]
    out, counted = (layers.average_pool(3, strides=2, padding=1, count_padding=count) for count in (False, True))
    y, z = jax.jit(lambda x: (out.apply({}, {}, x)[0], counted.apply({}, {}, x)[0]))(x)
    np.testing.assert_allclose(y.ravel(), [1.5, 3, 5], rtol=1e-6)
    np.testing.assert_allclose(z.ravel(), [1, 3, 5], rtol=1e-6)
