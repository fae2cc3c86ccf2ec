"""Output units: the gradient is prediction minus target, the likelihood is SciPy's, samples have the distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import jaxdict as jd
from jaxdict import losses, units

RNG = np.random.default_rng(6)
Z = RNG.normal(0.3, 1.6, (7, 4))
REAL, BITS, CLASSES = RNG.normal(size=(7, 4)), RNG.integers(0, 2, (7, 4)), RNG.integers(0, 4, 7)
CASES = {  # name -> targets, the prediction by SciPy, its minuend in the shape of z, the log likelihood by SciPy
    "linear_gaussian": (REAL, Z, REAL, scipy.stats.norm.logpdf(REAL, Z).sum(-1)),
    "sigmoid": (BITS, scipy.special.expit(Z), BITS, scipy.stats.bernoulli.logpmf(BITS, scipy.special.expit(Z)).sum(-1)),
    "softmax": (
        CLASSES,
        scipy.special.softmax(Z, -1),
        np.eye(4)[CLASSES],
        scipy.stats.multinomial.logpmf(np.eye(4)[CLASSES], 1, scipy.special.softmax(Z, -1)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_prediction_minus_target_and_the_likelihood_is_scipys(name):
    unit = units.output_unit(name)
    targets, prediction, shown, likelihood = CASES[name]
    with jax.enable_x64(True):
        z = jnp.asarray(Z)

        @jax.jit
        def everything(z):
            slope = jax.grad(lambda z: unit.loss(z, targets).sum())(z)
            return unit.mean(z), slope, unit.log_likelihood(z, targets), unit.loss(z, targets)

        mean, slope, found, loss = everything(z)
    assert slope.dtype == jnp.float64
    np.testing.assert_allclose(mean, prediction, rtol=1e-14)
    np.testing.assert_allclose(slope, prediction - shown, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found, likelihood, rtol=1e-12)
    # S3 writes ∝ for the linear-Gaussian loss: it is −ln P but for a constant.
    constant = 4 * np.log(2 * np.pi) / 2 if name == "linear_gaussian" else 0
    np.testing.assert_allclose(-found - loss, np.full(7, constant), atol=1e-12)


def test_the_losses_are_those_of_the_dictionary():
    """So that a run knows what its outputs mean, and equal units compile once."""
    assert units.gaussian().loss is losses.gaussian_nll
    assert units.bernoulli().loss is losses.sigmoid_cross_entropy
    assert units.categorical().loss is losses.sparse_softmax_cross_entropy
    assert units.gaussian(variance=2.0) is units.gaussian(variance=2.0)
    loss = jax.jit(lambda variance: units.gaussian(variance=variance).loss(np.ones(2), np.zeros(2)))  # as data
    np.testing.assert_allclose([loss(1.0), loss(4.0)], [1, 0.25 + np.log(4)], rtol=1e-6)


def test_variance_and_bounded_or_positive_means():
    """Means through an activation: by the chain rule, and over the variance."""
    cases = {
        "softplus": (np.logaddexp(0, Z), scipy.special.expit(Z)),
        "tanh": (np.tanh(Z), 1 - np.tanh(Z) ** 2),
        "sigmoid": (scipy.special.expit(Z), scipy.special.expit(Z) * scipy.special.expit(-Z)),
    }
    for output, (mean, slope) in cases.items():
        unit = units.gaussian(variance=0.25, output=output)
        with jax.enable_x64(True):
            predicted, found, likelihood = jax.jit(
                lambda z, u=unit: (u.mean(z), jax.grad(lambda z: u.loss(z, REAL).sum())(z), u.log_likelihood(z, REAL))
            )(Z)
        np.testing.assert_allclose(predicted, mean, rtol=1e-13)
        np.testing.assert_allclose(found, (mean - REAL) * slope / 0.25, rtol=1e-11)
        np.testing.assert_allclose(likelihood, scipy.stats.norm.logpdf(REAL, mean, 0.5).sum(-1), rtol=1e-11)
        assert repr(unit) == f"<OutputUnit gaussian around {output}>"


def test_saturation_of_a_sigmoid_output_is_only_where_it_is_right():
    """S3: through the likelihood a wrong and certain unit has the full gradient; through the square it has none."""
    z, y = jnp.array([-20.0, 20.0]), jnp.array([1.0, 1.0])

    @jax.jit
    @jax.grad
    def slopes(z):
        return units.bernoulli().loss(z[0], y) + losses.l2(jd.activations.sigmoid(z[1]), y)

    np.testing.assert_allclose(slopes(jnp.stack([z, z])), [[-1, 0], [0, 0]], atol=1e-8)


def test_modes():
    z = np.array([[-1.0, 0.0, 2.0]], np.float32)
    assert units.gaussian().mode(z).tolist() == z.tolist()
    assert units.bernoulli().mode(z).tolist() == [[0, 1, 1]]
    assert units.categorical().mode(z).tolist() == units.categorical().mode(z.tolist()).tolist() == [2]


def test_samples_have_the_distribution():
    """Frequencies and moments of 20,000 draws within four standard errors; the same key draws the same."""
    z, n = jnp.array([-0.4, 0.2, 1.0]), 20_000
    drawn_by = (units.gaussian(variance=4.0), units.bernoulli(), units.categorical())

    @jax.jit
    def draw(key, z):
        return [unit.sample(key, jnp.broadcast_to(z, (n, 3))) for unit in drawn_by]

    normal, bits, drawn = map(np.asarray, draw(jax.random.key(3), z))
    assert np.abs(normal.mean(0) - np.asarray(z)).max() < 4 * 2 / np.sqrt(n)
    assert np.abs(normal.std(0) - 2).max() < 4 * 2 / np.sqrt(2 * n)
    assert set(np.unique(bits)) == {0, 1}
    p = scipy.special.expit(np.asarray(z))
    assert (np.abs(bits.mean(0) - p) < 4 * np.sqrt(p * (1 - p) / n)).all()
    p = scipy.special.softmax(np.asarray(z))
    assert (np.abs(np.bincount(drawn, minlength=3) / n - p) < 4 * np.sqrt(p * (1 - p) / n)).all()
    assert drawn.dtype == bits.dtype == np.int32
    np.testing.assert_array_equal(drawn, draw(jax.random.key(3), z)[2])
    assert units.categorical().sample(3, z).shape == ()  # a seed is a key


def test_found_by_name():
    found = units.output_unit
    assert found("Linear-Gaussian") is found("regression") is units.gaussian()
    assert found("bernoulli") is found("multilabel") is found("sigmoid") is units.bernoulli()
    assert found("multiclass") is found("softmax") is units.categorical()
    assert found("gaussian", variance=0.5) is units.gaussian(variance=0.5)
    with pytest.raises(ValueError, match="no output unit is called 'sofmax'; did you mean 'softmax'"):
        found("sofmax")
    with pytest.raises(TypeError, match="variance"):
        found("softmax", variance=2)
    with pytest.raises(ValueError, match="variance must be > 0; got 0"):
        units.gaussian(variance=0)
    with pytest.raises(KeyError, match="no activation is called 'softpluss'; did you mean 'softplus'"):
        units.gaussian(output="softpluss")


@pytest.mark.slow
def test_a_run_by_a_units_loss_predicts_its_means(digits):
    unit = units.output_unit("softmax")
    run = jd.fit(jd.models.mlp([64, 10]), unit.loss, "adam", digits, key=0, epochs=2)
    np.testing.assert_allclose(
        unit.mean(run.predict(digits.inputs)), run.predict(digits.inputs, output="probabilities"), rtol=1e-6
    )
    np.testing.assert_array_equal(unit.mode(run.predict(digits.inputs)), run.predict(digits.inputs, output="classes"))
    assert run.evaluate(digits)["loss"] == pytest.approx(
        -float(np.mean(unit.log_likelihood(run.predict(digits.inputs), digits.targets))), rel=1e-5
    )
