"""What initializers are for: signals and gradients through many layers, and residual stacks that train."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import activations, initializers, noise

N01 = initializers.random("normal")


def stack(init, depth, width, key=0):
    """Weights of ``depth`` layers of one width."""
    return init(key, (depth, width, width), jnp.float32)


# ---------------------------------------------------------------------------------------- plain stacks


@functools.cache
def program(activation):
    """The mean square of the outputs of every layer, and the factor of the gradient a layer."""

    @jax.jit
    def run(layers, x, g):
        def forward(x):
            def layer(x, w):
                x = getattr(activations, activation)(x @ w)
                return x, (jnp.mean(x), jnp.var(x), jnp.mean(x**2))

            return jax.lax.scan(layer, x, layers)

        _, pull, moments = jax.vjp(forward, x, has_aux=True)
        back = pull(g)[0]
        return moments, (jnp.mean(back**2) / jnp.mean(g**2)) ** (0.5 / len(layers))

    return run


def through(activation, init, width, depth=20, seed=0):
    x_key, g_key = jax.random.split(jax.random.key(seed))
    x, g = jax.random.normal(x_key, (128, width)), jax.random.normal(g_key, (128, width))
    moments, factor = program(activation)(stack(init, depth, width, seed), x, g)
    return [np.asarray(m, float) for m in moments], float(factor)


def factor(activation, init, width):
    return np.mean([through(activation, init, width, seed=seed)[1] for seed in range(4)])


HE, LECUN, XAVIER = (f(batch_axis=0) for f in (initializers.he, initializers.lecun_normal, initializers.xavier))


@pytest.mark.parametrize(
    ("activation", "init", "width", "expected"),
    [
        ("sigmoid", XAVIER, 100, 0.23),  # S2 has Xavier for the logistic
        ("tanh", XAVIER, 100, 0.92),
        ("relu", HE, 100, 0.995),
        ("selu", LECUN, 100, 1.04),
        ("sigmoid", N01, 10, 0.49),  # S2: it vanishes under N(0, 1)
        ("sigmoid", N01, 100, 0.97),
        ("sigmoid", N01, 300, 1.26),  # not so when the layers are wide
    ],
)
@pytest.mark.slow
def test_the_gradients_factor_a_layer(activation, init, width, expected):
    np.testing.assert_allclose(factor(activation, init, width), expected, rtol=0.08)


@pytest.mark.slow
def test_relu_signals():
    """He keeps the mean square through fifty layers; a sixth of its variance loses it, and so does S0's 0.7737."""
    (_, _, squares), _ = through("relu", HE, 256, depth=50)
    assert 0.3 < squares[-1] / squares[0] < 3
    (_, _, squares), _ = through("relu", initializers.fan_in_uniform(batch_axis=0), 256, depth=50)
    np.testing.assert_allclose((squares[19] / squares[0]) ** (1 / 19), 1 / 6, rtol=0.1)
    assert squares[-1] == 0  # in float32
    (_, _, squares), _ = through("relu", initializers.he(batch_axis=0, corrected=False), 256, depth=50)
    np.testing.assert_allclose((squares[-1] / squares[0]) ** (1 / 49), 0.7737, rtol=0.05)


@pytest.mark.slow
def test_the_outputs_grow_not_the_weights():
    """S2 says that under N(0, 1) the weights' variance grows with depth; it is 1 in every layer."""
    weights = np.asarray(stack(N01, 20, 100), float)
    spread = np.sqrt(2 / 100**2)
    assert np.all(np.abs((weights**2).mean((1, 2)) - 1) < 5 * spread)
    (_, variance, _), _ = through("linear", N01, 100)
    np.testing.assert_allclose((variance[9] / variance[0]) ** (1 / 9), 100, rtol=0.1)


# ------------------------------------------------------------------------- SELU normalizes itself


@functools.cache
def selu_stack(dropped):
    @jax.jit
    def run(layers, x, key):
        def layer(x, part):
            w, key = part
            x = activations.selu(x @ w)
            x = noise.alpha_dropout(key, x, 0.05) if dropped else x
            return x, (jnp.mean(x), jnp.var(x))

        return jax.lax.scan(layer, x, (layers, jax.random.split(key, len(layers))))[1]

    return run


@pytest.mark.parametrize("dropped", [False, True], ids=["plain", "alpha_dropout"])
def test_selu_and_lecun_keep_mean_0_and_variance_1(dropped):
    """Through fifty layers, with alpha dropout too; also where the inputs are off."""
    run = selu_stack(dropped)
    x = jax.random.normal(jax.random.key(1), (256, 400))
    layers = stack(LECUN, 50, 400, 2)
    for inputs, settled in ((x, 0), (0.8 * x + 0.2, 15)):
        mean, variance = (np.asarray(m, float)[settled:] for m in run(layers, inputs, jax.random.key(3)))
        assert np.abs(mean).max() < 0.06
        assert np.abs(variance - 1).max() < 0.1


def test_selu_needs_the_whole_of_lecuns_variance():
    """He's is twice too much, S0's uncorrected form too little: neither settles at 0 and 1."""
    run = selu_stack(False)
    x = jax.random.normal(jax.random.key(1), (256, 400))
    for init, low, high in ((HE, 30, 1e4), (initializers.lecun_normal(corrected=False, batch_axis=0), 0.1, 0.8)):
        variance = np.asarray(run(stack(init, 50, 400, 2), x, jax.random.key(3))[1], float)
        assert low < variance[-1] < high


# ----------------------------------------------------------------------------------------- Fixup

WIDTH, BRANCHES = 16, 120  # 240 layers in branches


def residual(params, x):
    """A stem, branches of two layers with scalar biases and multipliers, a readout. No normalization."""

    def branch(x, part):
        inner = activations.relu((x + part["b1"]) @ part["w1"] + part["b2"])
        return x + part["multiplier"] * ((inner + part["b3"]) @ part["w2"]) + part["b4"], None

    x = jax.lax.scan(branch, x @ params["stem"], params["branches"])[0]
    return (activations.relu(x) + params["bias"]) @ params["readout"]


def parameters(first, last, readout, branches=BRANCHES, seed=0):
    keys = jax.random.split(jax.random.key(seed), 4)
    square = (branches, WIDTH, WIDTH)
    scalars = {name: initializers.zeros()(0, (branches,)) for name in ("b1", "b2", "b3", "b4")}
    return {
        "stem": initializers.he()(keys[0], (8, WIDTH)),
        "branches": scalars
        | {
            "multiplier": initializers.ones()(0, (branches,)),
            "w1": first(keys[1], square, jnp.float32),
            "w2": last(keys[2], square, jnp.float32),
        },
        "bias": jnp.zeros(()),
        "readout": readout(keys[3], (WIDTH, 2), jnp.float32),
    }


# 64 points in 8 dimensions whose class is the sign of a product: no linear model finds it.
POINTS = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
LABELS = (POINTS[:, 0] * POINTS[:, 1] > 0).astype(np.int32)


def cross_entropy(logits):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.asarray(LABELS)[:, None], 1))


@jax.jit
def train(params):
    """150 steps of gradient descent; the losses."""

    def step(params, _):
        value, slopes = jax.value_and_grad(lambda p: cross_entropy(residual(p, POINTS)))(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes), value

    return jax.lax.scan(step, params, None, length=150)[1]


def test_fixup_trains_240_layers_where_he_explodes():
    """The same network and steps; He's signal doubles with every branch, and its loss is not finite."""
    first, last = (initializers.fixup(BRANCHES, layer=k, batch_axis=0) for k in (1, 2))
    losses = np.asarray(train(parameters(first, last, initializers.zeros())))
    np.testing.assert_allclose(losses[0], np.log(2), rtol=1e-6)  # the readout starts at 0
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.1
    he = np.asarray(train(parameters(HE, HE, initializers.xavier())))
    assert he[0] > 1e6
    assert not np.isfinite(he[-1])
    # Nor does an output layer of zeros help.
    he = np.asarray(train(parameters(HE, HE, initializers.zeros())))
    assert not (np.isfinite(he[-1]) and he[-1] < np.log(2))


@functools.cache
def first_update(branches):
    """How much one gradient step of the branches' weights moves the output, by its root mean square."""

    @jax.jit
    def moved(params):
        weights = {name: params["branches"][name] for name in ("w1", "w2")}

        def outputs(weights):
            return residual(params | {"branches": params["branches"] | weights}, POINTS)

        slopes = jax.grad(lambda weights: cross_entropy(outputs(weights)))(weights)
        change = outputs(jax.tree.map(lambda p, g: p - 1e-2 * g, weights, slopes)) - outputs(weights)
        return jnp.sqrt(jnp.mean(change**2))

    return moved


@pytest.mark.slow
def test_fixups_first_update_is_as_large_at_any_depth():
    """What it is made for. With only the last layers 0 the update grows with the number of branches."""

    def size(first, branches):
        starts = [parameters(first, initializers.zeros(), initializers.xavier(), branches, s) for s in range(6)]
        return np.mean([first_update(branches)(start) for start in starts])

    fixup, he = ([size(make(n), n) for n in (8, 128)]
                 for make in (lambda n: initializers.fixup(n, batch_axis=0), lambda n: HE))  # fmt: skip
    assert 0.9 < fixup[1] / fixup[0] < 1.1
    assert he[1] / he[0] > 8


@pytest.mark.parametrize(("layers", "branches"), [(2, 9), (3, 16), (5, 100)])
def test_fixup_is_he_by_the_depth(layers, branches):
    """L^(-1/(2m-2)) on all but the last layer of a branch, which is 0; the rest as He's draws."""
    for layer in range(1, layers):
        weights = initializers.fixup(branches, layers=layers, layer=layer)(3, (30, 40))
        np.testing.assert_allclose(
            weights, branches ** (-1 / (2 * layers - 2)) * initializers.he()(3, (30, 40)), rtol=1e-6
        )
    last = initializers.fixup(branches, layers=layers, layer=layers)
    np.testing.assert_array_equal(last(3, (30, 40), jnp.bfloat16), np.zeros((30, 40)))
    alone = initializers.fixup(branches, layers=1)
    np.testing.assert_array_equal(alone(3, (3, 4)), np.zeros((3, 4)))


@pytest.mark.slow
def test_fixup_as_its_authors_have_it():
    """A plain normal of the fan out."""
    ours = initializers.fixup(25, mode="out", distribution="normal")(jax.random.key(1), (3, 3, 6, 10))
    plain = jax.random.normal(jax.random.key(1), (3, 3, 6, 10))
    np.testing.assert_allclose(ours, np.sqrt(2 / 90) * 25**-0.5 * plain, rtol=1e-6)
