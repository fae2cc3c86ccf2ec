"""What holds for every augmentation: shapes, types, keys, probability, tracing, gradients, messages, use in fit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import augmentations
import jaxdict as jd
from jaxdict import augment

RNG = np.random.default_rng(7)
X = RNG.uniform(0, 1, (4, 6, 6, 2)).astype(np.float32)
LABELS = np.eye(4, dtype=np.float32)

OPTIONS = {
    "flip": {},
    "rotate_quarter": {},
    "rotate": {"max_degrees": 40.0},
    "zoom": {"max_factor": 1.6},
    "translate": {"max_shift": 1.7, "subpixel": True},
    "crop_and_resize": {"min_area": 0.4, "max_aspect": 1.3},
    "gaussian_noise": {"stddev": 0.2},
    "salt_and_pepper": {"amount": 0.3},
    "mixup": {"alpha": 0.8},
    "cutmix": {"alpha": 0.8},
}
NAMES = list(OPTIONS)
MIXES = ("mixup", "cutmix")


def call(name, key, images, labels=LABELS, **options):
    """The augmented images alone."""
    function = functools.partial(getattr(augment, name), **{**OPTIONS[name], **options})
    return function(key, images, labels)[0] if name in MIXES else function(key, images)


compiled = functools.cache(lambda name: jax.jit(functools.partial(call, name)))


def test_every_augmentation_is_tried():
    assert set(NAMES) == set(augmentations.names())
    assert set(augment.__all__) == {*NAMES, "affine_transform"}


# --- shapes and types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_types_are_kept_and_computed_in_float32(name, dtype):
    integer = dtype == "uint8"
    images = jnp.asarray(X * 200 if integer else X).astype(dtype)
    options = {}
    if integer and name in ("gaussian_noise", "salt_and_pepper"):
        options["value_range"] = (10.0, 90.0)
    if integer and name == "gaussian_noise":
        options["stddev"] = 20.0
    both = jax.jit(lambda x: (call(name, 5, x, **options), call(name, 5, x.astype(jnp.float32), **options)))
    got, wide = both(images)
    assert got.dtype == images.dtype
    assert got.shape == images.shape
    np.testing.assert_array_equal(got, (jnp.round(wide) if integer else wide).astype(dtype))
    assert np.any(np.asarray(got) != np.asarray(images))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_float64_is_kept_and_the_same_change(name):
    narrow = compiled(name)(jax.random.key(5), X)
    with jax.enable_x64(True):
        got = jax.jit(functools.partial(call, name))(5, X.astype(np.float64))
        assert got.dtype == jnp.float64
        for dtype in (jnp.uint8, jnp.float16):  # where the default types are the wide ones
            like = jax.ShapeDtypeStruct(X.shape, dtype)
            assert jax.eval_shape(functools.partial(call, name, 5), like).dtype == dtype
    np.testing.assert_allclose(narrow, got, atol=3e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_integers_stay_in_their_type_at_its_ends(name):
    ends = jnp.iinfo(jnp.int32)
    options = {"fill": "edge"} if name in ("rotate", "zoom", "translate") else {}
    change = jax.jit(functools.partial(call, name, 1, **options))
    for value in (ends.min, ends.max):
        got = np.asarray(change(jnp.full((4, 5, 5, 1), value, jnp.int32)))
        assert got.dtype == np.int32
        if name == "salt_and_pepper":
            assert set(np.unique(got)) == {ends.min, ends.max}
        else:  # float32 has not every whole number
            np.testing.assert_allclose(got.astype(float), float(value), rtol=2e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_range_is_kept(name):
    images = jnp.asarray(RNG.choice([0.0, 1 / 3, 1.0], X.shape), jnp.float32)
    for key in range(6):
        got = np.asarray(compiled(name)(jax.random.key(key), images))
        assert got.min() >= 0
        assert got.max() <= 1


@pytest.mark.parametrize("shape", [(0, 6, 6, 2), (3, 0, 0, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_small_and_empty_batches(name, shape):
    images = jnp.full(shape, 0.25)
    labels = np.ones((len(images), 3), np.float32)
    got = jax.jit(functools.partial(call, name, 3))(images, labels)
    assert got.shape == shape
    assert got.dtype == images.dtype


@pytest.mark.parametrize("name", ["gaussian_noise", "mixup"])
def test_any_shape_of_example(name):
    for shape in [(4,), (4, 64), (4, 2, 3, 5, 1)]:
        assert jax.eval_shape(functools.partial(call, name, 3), jnp.ones(shape)).shape == shape


# --- randomness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_keys(name):
    images = X[:1].repeat(4, 0)
    if name in MIXES:  # alike images mixed are alike
        images = images + np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    results = [np.asarray(compiled(name)(jax.random.key(seed), images)) for seed in (4, 4, 5, 6)]
    np.testing.assert_array_equal(results[0], results[1])
    assert len({r.tobytes() for r in results}) == 3
    np.testing.assert_allclose(results[0], call(name, 4, images), atol=2e-6)  # an int seed, and not compiled
    different = {image.tobytes() for result in results[1:] for image in result}
    assert len(different) == {"flip": 2, "rotate_quarter": 4}.get(name, len(different))
    assert len(different) >= {"flip": 2, "rotate_quarter": 4}.get(name, 9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_vmap_over_keys_and_batches(name):
    keys = jax.random.split(jax.random.key(1), 3)
    batches = jnp.stack([X, X + 0.1, X[::-1]])
    together = jax.jit(jax.vmap(functools.partial(call, name)))(keys, batches)
    for key, images, got in zip(keys, batches, together, strict=True):
        np.testing.assert_allclose(got, compiled(name)(key, images), atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_probability(name):
    images = jnp.asarray(RNG.normal(0, 3, (600, 4, 4, 1)), jnp.float32)  # also outside of [0, 1]
    labels = jnp.asarray(RNG.uniform(0, 1, (600, 2)), jnp.float32)
    vary = jax.jit(lambda p: call(name, 9, images, labels, probability=p))
    np.testing.assert_array_equal(vary(0.0), images)
    changed = [float(np.mean(np.any(np.asarray(vary(p)) != images, axis=(1, 2, 3)))) for p in (1.0, 0.3)]
    # What is drawn leaves some as they are; with p the rest does so too.
    expected = 0.3 * changed[0]
    assert changed[0] > 0.5
    assert abs(changed[1] - expected) < 4 * np.sqrt(expected * (1 - expected) / 600)


# --- tracing and gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_traced_parameters_under_strict_promotion(name):
    numbers = {k: v for k, v in OPTIONS[name].items() if isinstance(v, float)} | {"probability": 0.8}
    numbers |= {"min_factor": 0.7, "fill_value": 0.5} if name == "zoom" else {}
    numbers |= {"salt": 0.2} if name == "salt_and_pepper" else {}
    with jax.numpy_dtype_promotion("strict"):
        traced = jax.jit(lambda numbers: call(name, 6, X, **numbers))(numbers)
        plain = jax.jit(lambda: call(name, 6, X, **numbers))()
        bytes_ = jax.ShapeDtypeStruct(X.shape, np.uint8)
        assert jax.eval_shape(lambda x, numbers: call(name, 6, x, **numbers), bytes_, numbers).dtype == np.uint8
    np.testing.assert_allclose(traced, plain, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_gradients_by_images(name):
    """All are linear in the images (noise where it is not clipped): f(a + b) - f(a) is the derivative along b."""
    options = {"value_range": (-np.inf, np.inf)} if name == "gaussian_noise" else {}
    direction = RNG.normal(0, 1, X.shape)
    with jax.enable_x64(True):
        x, b = jnp.asarray(X, jnp.float64), jnp.asarray(direction)
        f = functools.partial(call, name, 8, **options)

        @jax.jit
        def everything(x, b, weights):
            value, slope = jax.jvp(f, (x,), (b,))
            return slope, f(x + b) - value, jax.grad(lambda x: jnp.sum(f(x) * weights))(x)

        weights = RNG.normal(0, 1, X.shape)
        slope, change, backward = everything(x, b, weights)
        np.testing.assert_allclose(slope, change, atol=1e-12)
        np.testing.assert_allclose(np.sum(backward * direction), np.sum(slope * weights), rtol=1e-10)
    gradient = jax.grad(lambda x: jnp.sum(compiled(name)(jax.random.key(8), x) ** 2))(jnp.asarray(X))
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0)


def test_gradients_by_parameters():
    """How much a picture changes when the largest angle does, against finite differences."""
    image = jnp.asarray(np.add.outer(np.arange(7.0) ** 2, np.arange(7.0))[None, :, :, None])
    with jax.enable_x64(True):
        for name, option, at in (("rotate", "max_degrees", 20.0), ("zoom", "max_factor", 1.3)):
            f = jax.jit(
                functools.partial(
                    lambda name, option, v: jnp.sum(call(name, 3, image, **{option: v, "fill": "edge"})), name, option
                )
            )
            # float32 parameters, and kinks where a pixel is passed: a rough agreement
            step = 1e-2
            np.testing.assert_allclose(jax.grad(f)(at), (f(at + step) - f(at - step)) / (2 * step), rtol=0.05)


# --- messages ---------------------------------------------------------------------------------------------------------

GREY, MASK = X[..., 0], X > 0.5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: augment.flip(0, GREY),
            ValueError,
            r"must be \(n, height, width, channels\); got shape \(4, 6, 6\); im",
        ),
        (lambda: augment.flip(0, GREY[0]), ValueError, r"\(n, height, width, channels\); got shape \(6, 6\)$"),
        (
            lambda: augment.flip(0, MASK),
            TypeError,
            r"images must be floats or integers; got bool; cast a mask to uint8",
        ),
        (lambda: augment.flip(0, X + 1j), TypeError, r"images must be floats or integers; got complex64$"),
        (lambda: augment.gaussian_noise(0, 1.0, stddev=1), ValueError, r"must have an axis of examples; got a scalar"),
        (lambda: augment.flip(None, X), TypeError, r"key must be a PRNG key .* got None"),
        (lambda: augment.flip(0, X, direction="vertcal"), ValueError, r"direction must be .* did you mean 'vertical'"),
        (lambda: augment.flip(0, X, probability=1.5), ValueError, r"probability must be >= 0 and <= 1; got 1\.5"),
        (
            lambda: augment.flip(0, X, probability=[0.5] * 4),
            ValueError,
            r"probability must be a scalar; got shape \(4,",
        ),
        (
            lambda: augment.rotate_quarter(0, X, turns=()),
            ValueError,
            r"turns must hold a number of quarter turns; got n",
        ),
        (lambda: augment.rotate_quarter(0, X, turns=(0.5,)), TypeError, r"turns must be a whole number; got 0\.5"),
        (
            lambda: augment.rotate_quarter(0, X[:, :4]),
            ValueError,
            r"quarter turns of 4 x 6 images would change their shape; turns=\(0, 2\) keeps it; got \(0, 1, 2, 3\)",
        ),
        (lambda: augment.rotate(0, X, max_degrees=-1), ValueError, r"max_degrees must be >= 0; got -1"),
        (lambda: augment.rotate(0, X, max_degrees="5"), TypeError, r"max_degrees must be a number; got '5'"),
        (
            lambda: augment.rotate(0, X, max_degrees=5, fill="nearest"),
            ValueError,
            r"fill must be one of 'constant', 'wrap', 'edge', 'reflect', 'symmetric'; got 'nearest'",
        ),
        (
            lambda: augment.rotate(0, X, max_degrees=5, interpolation="cubic"),
            ValueError,
            r"interpolation must be one o",
        ),
        (lambda: augment.crop_and_resize(0, X, min_area=0.5, interpolation="linear"), ValueError, r"'bilinear', 'nea"),
        (
            lambda: augment.rotate(0, X, max_degrees=5, fill_value=(0, 1, 2)),
            ValueError,
            r"fill_value must be one number or one a channel, of shape \(2,\); got shape \(3,\)",
        ),
        (
            lambda: augment.rotate(0, X.astype(np.uint8), max_degrees=5, fill_value=256),
            ValueError,
            r"fill_value must be >= 0 and <= 255; got 256",
        ),
        (lambda: augment.zoom(0, X, max_factor=0.9), ValueError, r"max_factor must be >= 1; got 0\.9"),
        (
            lambda: augment.zoom(0, X, max_factor=0.5, min_factor=0.8),
            ValueError,
            r"max_factor must be >= 0\.8; got 0\.5",
        ),
        (lambda: augment.zoom(0, X, max_factor=2, min_factor=0), ValueError, r"min_factor must be > 0; got 0"),
        (lambda: augment.translate(0, X, max_shift=-2), ValueError, r"max_shift must be >= 0; got -2"),
        (
            lambda: augment.translate(0, X, max_shift=(1, 2, 3)),
            ValueError,
            r"must be one number or \(down, right\); go",
        ),
        (
            lambda: augment.crop_and_resize(0, X, min_area=0),
            ValueError,
            r"min_area must be > 0 and <= 1; got 0|min_area",
        ),
        (lambda: augment.crop_and_resize(0, X, min_area=0.5, max_aspect=0.5), ValueError, r"max_aspect must be >= 1"),
        (lambda: augment.gaussian_noise(0, X, stddev=-0.1), ValueError, r"stddev must be >= 0; got -0\.1"),
        (
            lambda: augment.gaussian_noise(0, X, stddev=1, value_range=(1, 0)),
            ValueError,
            r"value_range must be \(low, high\) with low < high; got \(1, 0\)",
        ),
        (
            lambda: augment.gaussian_noise(0, X, stddev=1, value_range=1),
            ValueError,
            r"must be a pair \(low, high\); got 1",
        ),
        (lambda: augment.salt_and_pepper(0, X, amount=1.1), ValueError, r"amount must be >= 0 and <= 1; got 1\.1"),
        (lambda: augment.salt_and_pepper(0, X, amount=1, salt=-1), ValueError, r"salt must be >= 0 and <= 1; got -1"),
        (lambda: augment.mixup(0, X, LABELS, alpha=0), ValueError, r"alpha must be > 0; got 0"),
        (
            lambda: augment.mixup(0, X, np.arange(4)),
            TypeError,
            r"labels must be floats, such as jax.nn.one_hot\(labels",
        ),
        (
            lambda: augment.cutmix(0, X, LABELS[:3]),
            ValueError,
            r"labels must have one row an image, 4; got shape \(3, 4\)",
        ),
        (lambda: augment.cutmix(0, X, 1.0), ValueError, r"labels must have one row an image, 4; got shape \(\)"),
        (
            lambda: augment.affine_transform(X, np.eye(3), (0, 0)),
            ValueError,
            r"matrix must have shape \(2, 2\) or \(4, 2, 2\); got \(3, 3\)",
        ),
        (
            lambda: augment.affine_transform(X, np.eye(2), (0, 0, 0)),
            ValueError,
            r"offset must have shape \(2,\) or \(4",
        ),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


# --- in training ------------------------------------------------------------------------------------------------------


def flat_images():
    """A model of images: it flattens them."""
    inner = jd.models.mlp([36, 8, 3])

    def init(key, shape):
        return inner.init(key, (int(np.prod(shape)),))

    def apply(params, state, x, *, key=None, train=False):
        return inner.apply(params, state, x.reshape(len(x), -1), key=key, train=train)

    return jd.models.Model(init, apply)


def blobs(count=60):
    """Which of three columns of the image is bright."""
    labels = np.arange(count) % 3
    images = np.zeros((count, 6, 6, 1), np.float32)
    for image, label in zip(images, labels, strict=True):
        image[2:4, 2 * label : 2 * label + 2] = 1
    return images, labels.astype(np.int32)


@pytest.mark.slow
def test_a_partial_and_a_composition_go_into_fit():
    def moved(key, images):
        noise_key, move_key = jax.random.split(key)
        images = augment.gaussian_noise(noise_key, images, stddev=0.1)
        return augment.translate(move_key, images, max_shift=(2, 0))

    fit = functools.partial(
        jd.fit, flat_images(), "sparse_softmax_cross_entropy", jd.optimizers.adam(0.02), blobs(), key=0, epochs=15,
        metrics="accuracy",
    )  # fmt: skip
    plain, turned, run = fit(), fit(augment=functools.partial(augment.rotate, max_degrees=15.0)), fit(augment=moved)
    assert turned.history["loss"][0] != plain.history["loss"][0]
    for one in (turned, run):
        assert one.result == "done"
        assert one.history["accuracy"][-1] > 0.9


@pytest.mark.slow
def test_mixed_batches_go_into_fit():
    images, labels = blobs()
    targets = np.asarray(jax.nn.one_hot(labels, 3))
    mix = jax.jit(functools.partial(augment.mixup, alpha=0.4))
    keys = iter(jax.random.split(jax.random.key(3), 100))

    def batches():
        for start in range(0, 60, 20):
            yield mix(next(keys), images[start : start + 20], targets[start : start + 20])

    run = jd.fit(flat_images(), "softmax_cross_entropy", jd.optimizers.adam(0.02), batches, key=0, epochs=15)
    assert run.result == "done"
    assert np.mean(np.argmax(run.predict(images), -1) == labels) > 0.9
