"""Layer, group and root mean square normalization: their axes, their special cases, and torch's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import normalization

RNG = np.random.default_rng(1)
IMAGES = RNG.normal(size=(3, 4, 5, 6)) * 2 + np.arange(6)
F32 = jnp.asarray(IMAGES, jnp.float32)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2, 3), [-1, 1], (3, 2)])
def test_layer_and_rms_norm_over_any_axes(axis):
    places = tuple(sorted(a % 4 for a in (axis if isinstance(axis, (tuple, list)) else [axis])))
    shape = tuple(IMAGES.shape[a] for a in places)
    scale, offset = RNG.normal(size=shape), RNG.normal(size=shape)
    spread = [n if i in places else 1 for i, n in enumerate(IMAGES.shape)]
    deviation = np.sqrt(IMAGES.var(places, keepdims=True) + 1e-5)
    wanted = (IMAGES - IMAGES.mean(places, keepdims=True)) / deviation * scale.reshape(spread) + offset.reshape(spread)
    y = normalization.layer_norm(F32, scale=scale, offset=offset, axis=axis)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)
    root = np.sqrt((IMAGES**2).mean(places, keepdims=True) + 1e-6)
    y = normalization.rms_norm(F32, scale=scale, axis=axis)
    np.testing.assert_allclose(y, IMAGES / root * scale.reshape(spread), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("groups", "axis"), [(1, -1), (2, -1), (3, 3), (6, -1), (2, 1), (5, 2)])
def test_group_norm(groups, axis):
    x = np.moveaxis(IMAGES, axis, -1)
    channels = x.shape[-1]
    scale, offset = RNG.normal(size=channels), RNG.normal(size=channels)
    split = x.reshape(*x.shape[:-1], groups, channels // groups)
    within = (1, 2, 4)
    y = (split - split.mean(within, keepdims=True)) / np.sqrt(split.var(within, keepdims=True) + 1e-5)
    wanted = np.moveaxis(y.reshape(x.shape) * scale + offset, -1, axis)
    got = normalization.group_norm(F32, groups, scale=scale, offset=offset, axis=axis)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


# torch 2.13.0, float64: elements 0, 7, 20 and 47 of y, and of the gradient of sum(y*cos(i)).
TORCH = {
    "layer_norm": (
        lambda x: normalization.layer_norm(
            x, scale=np.linspace(0.5, 2, 24).reshape(6, 4), offset=np.linspace(-1, 1, 24).reshape(6, 4), axis=(1, 2)
        ),
        [-0.7400635797004403, -0.7648682716817775, 2.910969085362782, 2.900355071768044],
        [0.2509055778299453, 0.5747868890992622, 0.2556743930838263, -0.6252848141717254],
    ),
    "layer_norm of one axis": (
        lambda x: normalization.layer_norm(x, scale=np.linspace(0.5, 2, 4), offset=np.linspace(-1, 1, 4)),
        [-0.8167115637008422, 3.568999160658277, -0.3002649446988205, 0.2832598017034419],
        [1.3888559205915598, 2.0811070205216984, 0.06998886654637115, -1.2165256951656862],
    ),
    "group_norm": (
        lambda x: normalization.group_norm(x, 3, scale=np.linspace(0.5, 2, 6), offset=np.linspace(-1, 1, 6), axis=1),
        [-0.46499429554963806, -0.961660710221261, 2.6689993258008506, 2.651773844840257],
        [0.45459212159139895, 0.4378150018142788, 0.10382343928829663, -0.4970558665419452],
    ),
    "instance_norm": (
        lambda x: normalization.group_norm(x, 6, scale=np.linspace(0.5, 2, 6), offset=np.linspace(-1, 1, 6), axis=1),
        [-0.8167115637008427, 0.4275996642633113, 3.798940221204719, 0.28325980170344206],
        [0.9573798613029828, 1.391214808975164, 0.2697609424669464, -1.6961182159673087],
    ),
    "rms_norm": (
        lambda x: normalization.rms_norm(x, scale=np.linspace(0.5, 2, 4)),
        [0.5163930286688294, 2.4375890303093497, 0.841199694059493, 1.829882645064367],
        [0.21457474158313627, 0.3250954628874739, 0.1577290929030847, -0.22668700620971316],
    ),
}


@pytest.mark.parametrize(("norm", "values", "slopes"), TORCH.values(), ids=TORCH)
def test_as_in_torch(norm, values, slopes):
    i = np.arange(48.0).reshape(2, 6, 4)
    with jax.enable_x64(True):
        y, pull = jax.vjp(jax.jit(norm), jnp.asarray(np.sin(1 + i * 0.7) * (1 + i / 10) + 3))
        slope = pull(jnp.cos(i))[0]
    places = np.array([0, 7, 20, 47])
    np.testing.assert_allclose(np.ravel(y)[places], values, rtol=1e-12)
    np.testing.assert_allclose(np.ravel(slope)[places], slopes, rtol=1e-9)


def test_group_norm_between_its_ends():
    whole = normalization.layer_norm(F32, axis=(1, 2, 3))
    np.testing.assert_allclose(normalization.group_norm(F32, 1), whole, rtol=1e-5, atol=1e-6)
    instance = normalization.layer_norm(F32, axis=(1, 2))
    np.testing.assert_allclose(normalization.group_norm(F32, 6), instance, rtol=1e-5, atol=1e-6)


def test_rms_norm_of_centered_features_is_layer_norm():
    x = F32 - F32.mean(-1, keepdims=True)
    np.testing.assert_allclose(normalization.rms_norm(x, eps=1e-5), normalization.layer_norm(x), rtol=1e-5, atol=1e-6)


def test_one_example_is_the_same_alone():
    row = normalization.layer_norm(F32[0, 0, 0])
    np.testing.assert_allclose(row, normalization.layer_norm(F32)[0, 0, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: normalization.layer_norm(F32, axis=(1, -3)),
            ValueError,
            r"axis must name axes of x, each once; got \(1",
        ),
        (lambda: normalization.layer_norm(F32, axis=()), ValueError, r"axis must name axes of x, each once; got \(\)"),
        (
            lambda: normalization.layer_norm(F32, axis=(1, 4)),
            ValueError,
            r"axis must be an axis of x, of shape .*; got 4",
        ),
        (lambda: normalization.rms_norm(3.0), ValueError, r"axis must be an axis of x, of shape \(\); got -1"),
        (
            lambda: normalization.layer_norm(F32, scale=np.ones(6), axis=(2, 3)),
            ValueError,
            r"scale must have shape \(5, 6",
        ),
        (lambda: normalization.group_norm(F32, 4), ValueError, r"groups must divide the channels, 6; got 4"),
        (lambda: normalization.group_norm(F32, 0), ValueError, r"groups must be >= 1; got 0"),
        (lambda: normalization.group_norm(F32, 2.0), TypeError, r"groups must be a whole number; got 2\.0"),
        (
            lambda: normalization.group_norm(F32, 1, axis=0),
            ValueError,
            r"axis must be the channels'; axis 0 is the batch",
        ),
        (lambda: normalization.group_norm(F32[0, 0, 0], 2), ValueError, r"x must have a batch axis and a feature axis"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
