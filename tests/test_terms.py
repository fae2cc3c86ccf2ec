"""Terms: what each is, that it is said in two sentences, and that where a source is wrong about it, it is."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import _registry
from jaxdict._entry import entry as register
from jaxdict._entry import term

TERMS = jd.entries(kind="term")


@pytest.mark.parametrize("entry", TERMS, ids=lambda e: e.name)
def test_a_term_is_two_sentences(entry):
    assert re.fullmatch(r"[^.!?]+(?:\.\d[^.!?]*)*[.]\s[^.!?]+(?:\.\d[^.!?]*)*[.]", entry.definition), entry.definition
    assert all(sentence[0].isupper() for sentence in re.split(r"(?<=\.)\s", entry.definition))
    assert entry.summary == entry.definition
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", entry.name)
    assert entry.see_also
    assert all(re.match(r"S[0-4]\b", source) for source in entry.sources[:1])


@pytest.mark.parametrize("entry", TERMS, ids=lambda e: e.name)
def test_a_term_knows_where_it_is_written(entry):
    path, _, line = entry.location.rpartition(":")
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert lines[int(line) - 1] == "term("
    assert lines[int(line)].strip() == f'"{entry.name}",'


def test_there_are_the_words_of_the_sources():
    names = {e.name for e in TERMS}
    assert names >= {
        "epoch", "minibatch", "saturation", "dead_unit", "vanishing_gradient", "exploding_gradient", "bias", "variance",
        "symmetry_breaking", "logit", "warm_restart", "early_stopping", "transfer_learning", "overfitting",
        "regularization", "learning_rate", "momentum", "backpropagation", "universal_approximation", "capacity",
        "generalization", "hyperparameter", "one_hot",
    }  # fmt: skip
    assert len(names) >= 40


def test_terms_come_after_what_has_a_formula():
    assert jd.lookup("momentum").kind == "optimizer"
    assert "term momentum" in jd.lookup("momentum").see_also
    assert jd.lookup("term momentum") is jd.lookup("momentum", kind="term")
    assert jd.lookup("dying ReLU").name == "dead_unit"
    assert jd.lookup("Mini-Batch").name == "minibatch"


def test_a_term_is_data_without_a_function():
    entry = jd.lookup("epoch")
    assert entry.function is None
    assert (entry.equation, entry.derivative_equation, entry.derivative, entry.defaults) == ("", "", None, {})
    assert entry.to_dict()["summary"] == entry.definition
    assert repr(entry).startswith("<Entry term epoch: One pass through")


def test_terms_and_augmentations_alone_need_no_equation():
    with pytest.raises(ValueError, match="kind 'loss' must have an equation; only augmentation and term may not"):
        register("loss", sources=("here",))
    with pytest.raises(ValueError, match="term 'epok': the name 'epoch' is taken by 'epoch'"):
        term("epok", "One. Two.", aliases=("epoch",), sources=("here",))
    kept = {k: dict(v) for k, v in _registry._entries.items()}, {k: dict(v) for k, v in _registry._names.items()}
    try:

        @register("augmentation", sources=("here",))
        def turned_for_test(key, images):
            """Images as they are."""
            return images

        found = _registry.find("turned_for_test")
        assert (found.equation, found.summary) == ("", "Images as they are.")
    finally:
        for kind in _registry.KINDS:
            _registry._entries[kind], _registry._names[kind] = kept[0][kind], kept[1][kind]


# ------------------------------------------------------------------------------------- what the sources got wrong


def test_six_of_the_eleven_activations_are_unbounded():
    """S0 4 says that they limit the range."""
    far = jnp.float32(1e4)
    bounded = {"tanh", "sigmoid", "softmax"}  # and the hard family, softsign
    unbounded = {"linear", "relu", "leaky_relu", "elu", "softplus"}  # and prelu
    for name in bounded | unbounded:
        value = jd.lookup(name, kind="activation").function(jnp.stack([far, 0 * far]))
        assert (float(jnp.max(jnp.abs(value))) > 2) == (name in unbounded)


def test_a_perceptrons_error_has_three_values_and_its_input_any():
    """S2 10.1.3 writes 0 or 1 under the product of both."""
    outputs = targets = np.array([0.0, 1.0])
    assert set((targets[:, None] - outputs).ravel()) == {-1.0, 0.0, 1.0}


def test_sums_of_sigmoids_are_bounded_on_the_line():
    """S3 leaves the compact set out of the universal approximation theorem."""
    rng = np.random.default_rng(0)
    a, w, b = rng.normal(0, 5, (3, 50))

    def network(x):
        return (a / (1 + np.exp(-np.clip(w * x[:, None] + b, -500, 500)))).sum(-1)

    far = np.array([1e3, 1e4, 1e6])
    np.testing.assert_allclose(network(far), a[w > 0].sum(), atol=1e-2)
    np.testing.assert_allclose(network(-far), a[w < 0].sum(), atol=1e-2)
    assert np.abs(network(np.linspace(-1e3, 1e3, 999))).max() <= np.abs(a).sum()


def test_the_example_of_backpropagation():
    """S3 writes the two weight gradients at each other's layer."""

    def z(first, second):
        hidden = jax.nn.relu(jnp.array([1.0, 2.0]) @ first)
        return jnp.sum(jax.nn.relu(hidden @ second))

    first, second = jnp.array([[1.0, -1.0], [-1.0, 1.0]]), jnp.ones((2, 2))
    assert float(z(first, second)) == 2
    by_first, by_second = jax.grad(lambda *w: jax.nn.softplus(z(*w)), (0, 1))(first, second)
    sigma = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(by_first, [[0, 2 * sigma], [0, 4 * sigma]], rtol=1e-6)  # 2 × 1.76 from x₂ to the second
    np.testing.assert_allclose(by_second, [[0, 0], [sigma, sigma]], rtol=1e-6)  # 1 × 0.88


def test_means_that_start_at_zero_are_biased_for_rates_near_one():
    """S1 1.6 says: when the decay rates are small."""

    def after(beta, steps):
        mean = 0.0
        for _ in range(steps):
            mean = beta * mean + (1 - beta) * 1.0
        np.testing.assert_allclose(mean, 1 - beta**steps)
        return mean

    assert after(0.1, 3) > 0.99
    assert after(0.999, 3) < 0.01


def test_dead_units_may_come_back():
    """S3 says that they cannot; so by their own weights in the first layer, under plain gradient descent."""
    x = jnp.array([1.0, 2.0])
    own = jax.grad(lambda w, b: jnp.sum((jax.nn.relu(w * x + b) - 1) ** 2), (0, 1))(-1.0, 0.1)
    assert own == (0.0, 0.0)
    assert np.max(-1.0 * (1 - 0.1 * 0.5) ** 60 * x + 0.1) > 0  # weight decay alone brings it back

    def loss(w):  # a unit of the second layer, 0.5 − h, and a live one, h
        hidden = jax.nn.relu(w)
        return (jax.nn.relu(0.5 - hidden) + hidden - 0.2) ** 2 / 2

    w = 1.0
    assert 0.5 - w < 0
    for _ in range(20):
        w -= 0.1 * float(jax.grad(loss)(w))
        if 0.5 - w > 0:
            break
    assert 0.5 - w > 0


def test_the_decaying_average_of_rmsprop_is_of_squares():
    """S0 6.5 calls it the average of x."""
    x = np.random.default_rng(0).choice([-2.0, 2.0], 400)
    mean = 0.0
    for value in x:
        mean = 0.9 * mean + 0.1 * value**2
    np.testing.assert_allclose(mean, 4.0)


def test_clipping_each_tensor_turns_the_gradient():
    """S2 11.1.4 says that clipnorm keeps the direction."""
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([0.0, 0.4])}
    each = {k: g / max(1.0, float(jnp.linalg.norm(g))) for k, g in gradient.items()}
    clip = optax.clip_by_global_norm(1.0)
    together, _ = clip.update(gradient, clip.init(gradient))
    assert float(each["a"][0] / each["b"][1]) == pytest.approx(2.5)
    assert float(together["a"][0] / together["b"][1]) == pytest.approx(7.5)


def beale(x, y):
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def test_the_valley_of_beales_function_has_no_end():
    """S4 calls a place in it a local minimum."""
    floors = []
    for x in (-5.0, -10.0, -30.0, -100.0, -1e3, -1e4):
        y = 1 + np.linspace(0.5, 1.5, 20_001) / -x
        floors.append(beale(x, y).min())
    assert (np.diff(floors) < 0).all()
    assert floors[-1] > 405 / 896
    assert floors[-1] == pytest.approx(405 / 896, abs=1e-3)


def factor(width, deviation, depth=10, repeats=8):
    """How much a gradient grows from a layer to the one before, sigmoid layers with weights from N(0, deviation²)."""
    rng = np.random.default_rng(width)
    logs, spread = [], []
    for _ in range(repeats):
        a, weights, slopes = rng.uniform(0, 1, width), [], []
        for _ in range(depth):
            weights.append(rng.normal(0, deviation, (width, width)))
            z = a @ weights[-1]
            a = 1 / (1 + np.exp(-z))
            slopes.append(a * (1 - a))
            spread.append(z.std())
        delta = rng.normal(size=width)
        before = np.linalg.norm(delta)
        for w, slope in zip(reversed(weights), reversed(slopes), strict=True):
            delta = w @ (delta * slope)
        logs.append(np.log(np.linalg.norm(delta) / before) / depth)
    return np.exp(np.mean(logs)), np.mean(spread)


def test_whether_gradients_vanish_depends_on_the_width():
    """S2 11.1 says that they do for sigmoids with weights from N(0, 1), because the weights' variance grew."""
    assert factor(10, 1.0)[0] == pytest.approx(0.5, abs=0.1)
    assert factor(100, 1.0)[0] == pytest.approx(1.0, abs=0.1)
    assert factor(300, 1.0, repeats=3)[0] == pytest.approx(1.25, abs=0.1)
    assert factor(100, 0.1)[0] == pytest.approx(0.23, abs=0.03)  # Glorot's
    assert factor(100, 1.0)[1] > 5 * factor(100, 0.1)[1]  # what is wide is the outputs before the sigmoid


def adagrad_on_beale(rate, steps=10_000):
    x, y, gx, gy = 2.0, -2.0, 0.0, 0.0
    for _ in range(steps):
        a, b, c = 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y**3
        dx = 2 * (a * (y - 1) + b * (y * y - 1) + c * (y**3 - 1))
        dy = 2 * x * (a + 2 * b * y + 3 * c * y * y)
        gx, gy = gx + dx * dx, gy + dy * dy
        x, y = x - rate * dx / (gx + 1e-8) ** 0.5, y - rate * dy / (gy + 1e-8) ** 0.5
    return ((x - 3) ** 2 + (y - 0.5) ** 2) ** 0.5


def test_adagrad_needs_its_rate_tuned():
    """S1 1.3 says that 0.01 will do."""
    assert adagrad_on_beale(0.01) > 1
    assert adagrad_on_beale(4.2) < 0.01


def test_bias_is_the_error_that_stays():
    """S0 5 calls it a tendency to generalize."""
    rng = np.random.default_rng(0)
    inside = np.linspace(-0.9, 0.9, 19)
    bias, variance = {}, {}
    for degree in (0, 5):
        fits = []
        for _ in range(300):
            x = rng.uniform(-1, 1, 12)
            fits.append(np.polyval(np.polyfit(x, x**2 + rng.normal(0, 0.1, 12), degree), inside))
        bias[degree] = np.mean((np.mean(fits, 0) - inside**2) ** 2)
        variance[degree] = np.median(np.var(fits, 0))
    assert bias[0] > 30 * bias[5]
    assert variance[5] > 1.2 * variance[0]


def test_one_bootstrap_sample_holds_63_percent_whatever_their_number():
    """S4 writes 1 − e^(−K) beside K sets, and 64 %."""
    rng = np.random.default_rng(0)
    n = 20_000
    for sets in (1, 2, 3):
        seen = [np.unique(rng.integers(0, n, n)) for _ in range(sets)]
        assert all(len(s) / n == pytest.approx(0.632, abs=0.01) for s in seen)
        assert len(np.unique(np.concatenate(seen))) / n == pytest.approx(1 - np.exp(-sets), abs=0.01)


def test_weights_are_not_what_a_snapshot_ensemble_averages():
    """S4 speaks of averaging the models: two that are one function with its units in another order."""
    rng = np.random.default_rng(0)
    w, v, x = rng.normal(size=(3, 6)), rng.normal(size=6), rng.normal(size=(50, 3))
    order = np.roll(np.arange(6), 1)

    def predict(w, v):
        return np.tanh(x @ w) @ v

    both = (predict(w, v) + predict(w[:, order], v[order])) / 2
    np.testing.assert_allclose(both, predict(w, v), atol=1e-12)
    assert np.abs(predict((w + w[:, order]) / 2, (v + v[order]) / 2) - both).max() > 0.5


def test_weight_scaling_is_by_the_probability_of_keeping():
    """S0 5.4 scales by the probability of dropping. For a softmax the rule is the geometric mean over the masks."""
    rng = np.random.default_rng(0)
    x, w, drop = rng.normal(size=3), rng.normal(size=(3, 4)), 0.2

    def softmax(z):
        return np.exp(z) / np.exp(z).sum()

    log_mean, mean_input = np.zeros(4), np.zeros(3)
    for bits in range(8):
        mask = np.array([bits >> i & 1 for i in range(3)])
        weight = np.prod(np.where(mask, 1 - drop, drop))
        log_mean += weight * np.log(softmax((x * mask) @ w))
        mean_input += weight * x * mask
    np.testing.assert_allclose(mean_input, (1 - drop) * x)
    np.testing.assert_allclose(softmax(log_mean), softmax((1 - drop) * x @ w))
    assert np.abs(softmax(log_mean) - softmax(drop * x @ w)).max() > 0.02


SHOWN = {
    "activation_function": test_six_of_the_eleven_activations_are_unbounded,
    "backpropagation": test_the_example_of_backpropagation,
    "bias": test_bias_is_the_error_that_stays,
    "bias_correction": test_means_that_start_at_zero_are_biased_for_rates_near_one,
    "bootstrap_sample": test_one_bootstrap_sample_holds_63_percent_whatever_their_number,
    "dead_unit": test_dead_units_may_come_back,
    "exponential_moving_average": test_the_decaying_average_of_rmsprop_is_of_squares,
    "gradient_clipping": test_clipping_each_tensor_turns_the_gradient,
    "learning_rate": test_adagrad_needs_its_rate_tuned,
    "local_minimum": test_the_valley_of_beales_function_has_no_end,
    "perceptron": test_a_perceptrons_error_has_three_values_and_its_input_any,
    "snapshot_ensemble": test_weights_are_not_what_a_snapshot_ensemble_averages,
    "universal_approximation": test_sums_of_sigmoids_are_bounded_on_the_line,
    "vanishing_gradient": test_whether_gradients_vanish_depends_on_the_width,
    "weight_scaling": test_weight_scaling_is_by_the_probability_of_keeping,
}


def test_every_erratum_of_a_term_is_shown():
    assert {e.name for e in TERMS if e.errata} == set(SHOWN)
