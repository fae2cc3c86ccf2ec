"""Estimators: the run of ``fit`` under scikit-learn's interface, and scikit-learn's own checks."""

import copy
import functools
import pickle
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
import scipy.special
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import estimator_checks_generator

import jaxdict as jd
from jaxdict import estimators
from small_run import LOSS, MODEL, X, Y, same_bits

SIZES = {"hidden_layer_sizes": (8,), "activation": "tanh", "batch_size": 16}
NAMES = np.array(["bird", "cat", "dog"])[Y]
TARGETS = np.stack([X @ [1, -1, 0.5, 0], X[:, 0] * X[:, 1]], axis=1)
classifier = functools.partial(estimators.MLPClassifier, **SIZES, learning_rate_init=0.01, max_iter=4, random_state=3)
regressor = functools.partial(estimators.MLPRegressor, **SIZES, learning_rate_init=0.01, max_iter=4, random_state=3)


def build(features, outputs, width=8, depth=1):
    return jd.models.mlp([features, *[width] * depth, outputs], activation="tanh")


built = functools.partial(
    estimators.Classifier, build, batch_size=16, learning_rate_init=0.01, max_iter=4, random_state=3
)


@functools.cache
def fitted():
    return classifier().fit(X, NAMES)


# ------------------------------------------------------------------------------------------- scikit-learn's own checks

CHECKED = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.01, "random_state": 0}
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"  # to a relative 1e-7; test_weights_are_repetitions: 1e-4
QUICK = {
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types", "check_estimator_repr",
    "check_no_attributes_set_in_init", "check_estimators_unfitted", "check_mixin_order", "check_complex_data",
    "check_do_not_raise_errors_in_init_or_set_params", "check_estimators_empty_data_messages", "check_fit1d",
    "check_parameters_default_constructible", "check_get_params_invariance", "check_set_params",
    "check_estimators_pickle", "check_requires_y_none", "check_dict_unchanged",
}  # fmt: skip


def checks():
    for estimator in (
        estimators.MLPClassifier(max_iter=50, **CHECKED),
        estimators.MLPRegressor(max_iter=100, **CHECKED),
    ):
        for number, (one, check) in enumerate(estimator_checks_generator(estimator)):
            name = getattr(check, "func", check).__name__
            marks = [] if name in QUICK else [pytest.mark.slow]
            if name == WEIGHTS:
                marks.append(pytest.mark.xfail(reason="out of float32's reach", raises=AssertionError, strict=True))
            yield pytest.param(one, check, marks=marks, id=f"{type(one).__name__}-{number}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
@pytest.mark.filterwarnings("default")  # the checks provoke them
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


# ----------------------------------------------------------------------------------------------------------- training


def test_fit_is_the_run_alone():
    alpha, rate = 0.5, 0.01

    def half_squares(params):
        return alpha / (2 * 16) * sum((layer["kernel"] ** 2).sum() for layer in params.values())

    run = jd.fit(
        MODEL, LOSS, jd.optimizers.adam(rate), (X, Y), key=3, epochs=4, batch_size=16, penalty=half_squares
    )  # fmt: skip
    one = classifier(alpha=alpha).fit(X, NAMES)
    for a, b in zip(jax.tree.leaves(one.params_), jax.tree.leaves(run.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.loss_curve_, run.history["loss"], rtol=1e-5)
    np.testing.assert_array_equal(one.predict(X), np.array(["bird", "cat", "dog"])[np.argmax(run.predict(X), axis=1)])
    np.testing.assert_allclose(one.predict_proba(X), run.predict(X, output="probabilities"), atol=1e-6)
    assert (one.n_iter_, one.n_features_in_, one.n_outputs_, one.run_.epoch) == (4, 4, 3, 4)
    assert [w.shape for w in (*one.coefs_, *one.intercepts_)] == [(4, 8), (8, 3), (8,), (3,)]
    np.testing.assert_array_equal(one.coefs_[0], one.params_["dense_1"]["kernel"])


def test_a_step_is_weights_times_gradient_plus_penalty():
    """Multinomial logistic regression by hand, in float64; the second call has other examples."""
    alpha, rate, size = 3.0, 0.5, 64
    by_class = {"bird": 3.0, "dog": 0.5}
    model = classifier(
        hidden_layer_sizes=(), optimizer="gradient_descent", alpha=alpha, batch_size=size, class_weight=by_class,
        learning_rate_init=rate,
    )  # fmt: skip
    given = np.random.default_rng(0).uniform(0, 2, 50)
    model.partial_fit(X[:30], NAMES[:30], classes=np.unique(NAMES), sample_weight=given[:30])
    for part in (slice(0, 30), slice(20, 50)):
        kernel, bias = (x.astype(np.float64) for x in (model.coefs_[0], model.intercepts_[0]))
        x, y = X[part].astype(np.float64), Y[part]
        weights = given[part] * np.array([3.0, 1.0, 0.5])[y]
        error = (scipy.special.softmax(x @ kernel + bias, axis=1) - np.eye(3)[y]) * weights[:, None] / weights.sum()
        model.partial_fit(X[part], NAMES[part], sample_weight=given[part])
        np.testing.assert_allclose(model.coefs_[0], kernel - rate * (x.T @ error + alpha / size * kernel), atol=2e-6)
        np.testing.assert_allclose(model.intercepts_[0], bias - rate * error.sum(axis=0), atol=2e-6)
    assert model.n_iter_ == len(model.loss_curve_) == 3


@pytest.mark.parametrize("make", [classifier, pytest.param(regressor, marks=pytest.mark.slow)])
def test_weights_are_repetitions(make):
    """Examples that count twice are there twice, those that count nothing are not there: full batches, any order."""
    times = np.random.default_rng(1).integers(0, 3, 50)
    targets = NAMES if make is classifier else TARGETS
    one = make(batch_size=200).fit(X, targets, sample_weight=times)
    other = make(batch_size=200).fit(np.repeat(X, times, axis=0), np.repeat(targets, times, axis=0))
    for a, b in zip(jax.tree.leaves(one.params_), jax.tree.leaves(other.params_), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert not np.allclose(one.coefs_[0], make(batch_size=200).fit(X, targets).coefs_[0], atol=1e-3)


def test_class_weights_are_sample_weights():
    balanced = compute_sample_weight("balanced", NAMES)
    same = classifier().fit(X, NAMES, sample_weight=balanced)
    same_bits(classifier(class_weight="balanced").fit(X, NAMES).params_, same.params_)
    both = classifier(class_weight={"cat": 4}).fit(X, NAMES, sample_weight=balanced)
    same_bits(both.params_, classifier().fit(X, NAMES, np.float32(balanced) * np.float32([1, 4, 1])[Y]).params_)


@pytest.mark.parametrize("labels", [NAMES, Y * 10 - 7, Y == 1, np.where(Y == 1, "yes", "no").astype(object), Y * 0.5])
def test_labels_of_any_kind(labels):
    if labels.dtype == np.float64:
        labels = np.round(labels * 2)
    one = classifier().fit(X, labels)
    np.testing.assert_array_equal(one.classes_, np.unique(labels))
    assert one.predict(X).dtype == one.classes_.dtype
    probabilities = one.predict_proba(X)
    assert probabilities.shape == (50, len(np.unique(labels)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(one.predict_log_proba(X)), probabilities, rtol=1e-12)
    np.testing.assert_array_equal(one.classes_[probabilities.argmax(axis=1)], one.predict(X))
    assert one.score(X, labels) == accuracy_score(labels, one.predict(X))


def test_regression_of_one_and_several_outputs():
    several = regressor(max_iter=100).fit(X, TARGETS)
    assert several.predict(X).shape == TARGETS.shape
    assert several.score(X, TARGETS) == pytest.approx(r2_score(TARGETS, several.predict(X)))
    assert several.score(X, TARGETS) > 0.6
    column = regressor().fit(X, TARGETS[:, :1])
    flat = regressor().fit(X, TARGETS[:, 0])
    assert column.predict(X).shape == (50, 1)
    np.testing.assert_array_equal(flat.predict(X), column.predict(X)[:, 0])
    errors = flat.predict(X) - TARGETS[:, 0]
    np.testing.assert_allclose(flat.run_.evaluate((X, TARGETS[:, 0]))["loss"], np.mean(errors**2) / 2, rtol=1e-4)


def test_a_partial_fit_is_an_epoch():
    whole, parts = fitted(), classifier()
    for _ in range(4):
        parts.partial_fit(X, NAMES, classes=["dog", "cat", "bird"])
    same_bits((parts.params_, parts._leaves), (whole.params_, whole._leaves))
    np.testing.assert_array_equal(parts.loss_curve_, whole.loss_curve_)
    longer = copy.deepcopy(whole).partial_fit(X, NAMES)
    same_bits(longer.params_, classifier(max_iter=5).fit(X, NAMES).params_)
    assert longer.n_iter_ == 5
    numbers = regressor()
    for _ in range(4):
        numbers.partial_fit(X, TARGETS)
    same_bits(numbers.params_, regressor().fit(X, TARGETS).params_)


def test_warm_start_goes_on_from_the_parameters():
    one = classifier(warm_start=True, alpha=0.0).fit(X, NAMES)
    before = one.params_
    one.fit(X, NAMES)
    assert one.n_iter_ == len(one.loss_curve_) == 4
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=4, batch_size=16, params=before)
    for a, b in zip(jax.tree.leaves(one.params_), jax.tree.leaves(run.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="warm_start needs the classes of the last fit"):
        one.fit(X, Y)
    with pytest.raises(ValueError, match="warm_start needs a model of the same shapes"):
        one.set_params(hidden_layer_sizes=(5,)).fit(X, NAMES)
    same_bits(classifier(warm_start=False).fit(X, Y).fit(X, NAMES).params_, fitted().params_)


@pytest.mark.parametrize("make", [classifier, pytest.param(regressor, marks=pytest.mark.slow)])
def test_early_stopping_ends_with_the_best_epoch_of_held_out_examples(make):
    targets = NAMES if make is classifier else TARGETS[:, 0]
    one = make(early_stopping=True, max_iter=60, n_iter_no_change=3, learning_rate_init=0.1, validation_fraction=0.3)
    one.fit(X, targets)
    assert one.run_.result == "stopped"
    assert one.n_iter_ == len(one.validation_scores_) < 60
    best = one.run_.best.epoch
    assert best < one.n_iter_
    labels = Y if make is classifier else None
    rest, held = jd.data.split_indices(50, 0.3, key=3, labels=labels)
    score = accuracy_score if make is classifier else r2_score
    assert one.validation_scores_[best - 1] == pytest.approx(score(targets[held], one.predict(X[held])), rel=1e-5)
    assert one.run_.steps_per_epoch == -(-len(rest) // 16)


def test_training_ends_where_the_loss_no_longer_falls():
    one = classifier(max_iter=50, tol=10.0, n_iter_no_change=3).fit(X, NAMES)
    assert one.n_iter_ == 4  # the first epoch is better than none
    assert one.best_loss_ == min(one.loss_curve_) == one.loss_curve_[-1]


@pytest.mark.slow
def test_optimizers_by_name_function_and_transformation():
    for optimizer in (jd.optimizers.adam, optax.adam(0.01)):
        one = classifier(optimizer=optimizer).fit(X, NAMES)
        np.testing.assert_allclose(one.predict_proba(X), fitted().predict_proba(X), atol=1e-5)
    momentum = functools.partial(jd.optimizers.momentum, momentum=0.5)
    assert clone(classifier(optimizer=momentum)).fit(X, NAMES).loss_curve_ != fitted().loss_curve_


@pytest.mark.slow
def test_dropout_is_noise_in_training_alone():
    one, two = (classifier(dropout=0.5, random_state=seed).fit(X, NAMES) for seed in (3, 3))
    same_bits(one.params_, two.params_)
    assert one.loss_curve_ != fitted().loss_curve_
    np.testing.assert_array_equal(one.predict_proba(X), one.predict_proba(X))
    np.testing.assert_allclose(one.predict_proba(X), one.run_.predict(X, output="probabilities"), atol=1e-6)


def test_random_states():
    same_bits(classifier(random_state=np.random.RandomState(1)).fit(X, NAMES).params_,
              classifier(random_state=np.random.RandomState(1)).fit(X, NAMES).params_)  # fmt: skip
    one, two = (classifier(random_state=None).fit(X, NAMES) for _ in range(2))
    assert not np.array_equal(one.coefs_[0], two.coefs_[0])


def test_a_run_that_diverges_warns_and_keeps_what_is_finite():
    with pytest.warns(ConvergenceWarning, match="diverged in epoch"):
        one = regressor(optimizer="gradient_descent", learning_rate_init=1e6, max_iter=20).fit(X, TARGETS)
    assert np.isfinite(one.predict(X)).all()


# ------------------------------------------------------------------------------------------------- copies and pickles


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_copies_predict_and_train_on(again):
    optimizer = jd.optimizers.adam
    one = classifier(optimizer=optimizer, early_stopping=False).fit(X, NAMES)
    other = again(one)
    assert not hasattr(other, "run_")
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(vars(other)))
    np.testing.assert_array_equal(other.predict_proba(X), one.predict_proba(X))
    for _ in range(2):
        same_bits(other.partial_fit(X, NAMES).params_, one.partial_fit(X, NAMES).params_)


def test_a_clone_is_not_fitted():
    other = clone(fitted())
    assert other.get_params() == fitted().get_params()
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert not hasattr(other, "coefs_")


def test_predictions_do_not_depend_on_company():
    inputs = np.random.default_rng(0).normal(size=(2100, 4))
    whole = fitted().predict_proba(inputs)
    np.testing.assert_allclose(whole[1990:2010], fitted().predict_proba(inputs[1990:2010]), rtol=1e-6)


# ------------------------------------------------------------------------------------------------ models of one's own


@pytest.mark.slow
def test_any_model_by_a_function_that_builds_it():
    one = built().fit(X, NAMES)
    for a, b in zip(jax.tree.leaves(one.params_), jax.tree.leaves(fitted().params_), strict=True):
        np.testing.assert_array_equal(a, b)
    deep = clone(one).set_params(depth=2, alpha=0.1)
    assert deep.get_params()["depth"] == 2
    assert sorted(deep.fit(X, NAMES).params_) == ["dense_1", "dense_2", "dense_3"]
    assert "depth=2" in repr(deep)
    copied = pickle.loads(pickle.dumps(deep))
    np.testing.assert_array_equal(copied.predict_proba(X), deep.predict_proba(X))
    numbers = estimators.Regressor(build, width=8, batch_size=16, learning_rate_init=0.01, max_iter=4, random_state=3)
    same_bits(numbers.fit(X, TARGETS).params_, regressor().fit(X, TARGETS).params_)


@pytest.mark.slow
def test_batch_statistics_are_kept():
    def normalized(features, outputs, *, momentum=0.9):
        layers = jd.layers
        return jd.models.serial(layers.dense(6), layers.batch_norm(momentum=momentum), layers.dense(outputs))

    one = estimators.Classifier(normalized, momentum=0.5, max_iter=3, random_state=0, batch_size=16).fit(X, NAMES)
    assert np.any(one.state_["batch_norm_1"]["mean"] != 0)
    np.testing.assert_allclose(one.predict_proba(X), one.run_.predict(X, output="probabilities"), atol=1e-6)
    before = one.state_["batch_norm_1"]["mean"]
    assert np.any(copy.deepcopy(one).partial_fit(X, NAMES).state_["batch_norm_1"]["mean"] != before)


def test_another_function_keeps_the_options_it_has():
    def wide(features, outputs, width=3):
        return build(features, outputs, width)

    one = built(width=5).set_params(build=wide, max_iter=2)
    assert (one.get_params()["width"], one.get_params()["max_iter"]) == (5, 2)
    assert "depth" not in one.get_params()
    with pytest.raises(ValueError, match=r"wide has no option 'depht'"):
        one.set_params(build=wide, depht=3)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adamm"}, "no optimizer is called 'adamm'; did you mean 'adam'"),
        ({"activation": "relo"}, "no activation is called 'relo'; did you mean 'relu'"),
        ({"alpha": -1}, "alpha must be >= 0"),
        ({"learning_rate_init": 0}, "learning_rate_init must be > 0"),
        ({"learning_rate_init": "fast"}, "learning_rate_init must be a number; got 'fast'"),
        ({"batch_size": "all"}, "batch_size must be one of 'auto'; got 'all'"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"max_iter": 0}, "max_iter must be >= 1"),
        ({"tol": -1}, "tol must be >= 0"),
        ({"n_iter_no_change": 1.5}, "n_iter_no_change must be a whole number"),
        ({"hidden_layer_sizes": (4, 0)}, "a width in hidden_layer_sizes must be >= 1; got 0"),
        ({"dropout": 1.0}, "dropout must be >= 0 and < 1"),
        ({"early_stopping": True, "validation_fraction": 0}, "validation_fraction must be > 0 and < 1"),
        ({"class_weight": {"horse": 1}}, r"class_weight names the class 'horse'; the classes are \['bird', 'cat', 'd"),
        ({"class_weight": {"cat": -1}}, r"class_weight\['cat'\] must be >= 0"),
        ({"class_weight": "balance"}, "class_weight must be one of 'balanced'; got 'balance'"),
        ({"class_weight": [1, 2, 3]}, "class_weight must be None, 'balanced' or a dict by label"),
    ],
)
def test_bad_parameters(change, message):
    with pytest.raises((ValueError, TypeError, KeyError), match=message):
        classifier().set_params(**change).fit(X, NAMES)


def test_bad_calls():
    with pytest.raises(ValueError, match="classes must be given to the first call of partial_fit"):
        classifier().partial_fit(X, NAMES)
    with pytest.raises(ValueError, match="labels that are no classes"):
        classifier().partial_fit(X, NAMES, classes=["cat", "dog"])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        copy.deepcopy(fitted()).partial_fit(X, NAMES, classes=["cat", "dog"])
    with pytest.raises(ValueError, match="set early_stopping=False"):
        classifier(early_stopping=True).partial_fit(X, NAMES, classes=NAMES)
    with pytest.raises(ValueError, match="needs all examples at once"):
        classifier(class_weight="balanced").partial_fit(X, NAMES, classes=NAMES)
    with pytest.raises(ValueError, match="cannot go on: the model or the optimizer is another"):
        copy.deepcopy(fitted()).set_params(optimizer="gradient_descent").partial_fit(X, NAMES)
    with pytest.raises(ValueError, match="features"):
        fitted().predict(X[:, :3])
    with pytest.raises(KeyError, match="no loss is called 'squard'"):
        regressor(loss="squard").fit(X, TARGETS)
    with pytest.raises(TypeError, match="the loss does not fit"):
        regressor(loss=LOSS).fit(X, TARGETS)


def test_bad_functions_that_build():
    with pytest.raises(TypeError, match="neither Classifier nor build has a parameter 'widht'; did you mean 'width'"):
        estimators.Classifier(build, widht=3)
    with pytest.raises(TypeError, match="build must be a function of features and outputs"):
        estimators.Classifier(MODEL)
    with pytest.raises(TypeError, match="needs width: give it to Regressor by name"):
        estimators.Regressor(lambda features, outputs, width: None)
    with pytest.raises(TypeError, match="has an option 'alpha', which is a parameter of training"):
        estimators.Regressor(lambda features, outputs, alpha=1: None)
    with pytest.raises(TypeError, match="each option by name"):
        estimators.Regressor(lambda features, outputs, **options: None)
    with pytest.raises(ValueError, match=r"the model must give \(n, 3\) for \(n, 4\); got \(1, 2\)"):
        estimators.Classifier(lambda features, outputs: jd.models.mlp([features, 2])).fit(X, NAMES)
    with pytest.raises(ValueError, match="Invalid parameter 'widht'"):
        built().set_params(widht=3)


def test_without_scikit_learn_the_error_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None\nimport jaxdict\nimport jaxdict.estimators"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "jaxdict.estimators needs scikit-learn 1.6 or later: pip install 'jaxdict[train]'" in result.stderr
