"""The search by lanes: scikit-learn's results, bit for bit, from one program a group of candidates."""

import functools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxdict as jd
from jaxdict import estimators
from jaxdict.estimators import _search
from jaxdict.train import segment
from small_run import X, Y

X, Y = X[:48], Y[:48]  # folds of one size share programs
NAMES = np.array(["bird", "cat", "dog"])[Y]
FOLDS = StratifiedKFold(2)
GRID = {"learning_rate_init": [0.01, 0.1], "alpha": [1e-4, 10.0]}
classifier = functools.partial(
    estimators.MLPClassifier, hidden_layer_sizes=(8,), activation="tanh", batch_size=16, max_iter=3, random_state=3
)


def same_results(ours, theirs, y=NAMES):
    """The layout of ``cv_results_`` and all of it but the times, and what the search says of the best."""
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    for name, values in theirs.cv_results_.items():
        mine = ours.cv_results_[name]
        assert type(mine) is type(values), name
        if name != "params":
            assert (mine.dtype, mine.shape) == (values.dtype, values.shape), name
        if "time" not in name:
            np.testing.assert_array_equal(np.ma.getmaskarray(mine), np.ma.getmaskarray(values))
            np.testing.assert_array_equal(mine, values, err_msg=name)
        elif name.startswith("mean"):
            assert np.all(mine > 0)
    for name in ("best_index_", "best_score_", "best_params_", "n_splits_", "multimetric_"):
        assert getattr(ours, name, None) == getattr(theirs, name, None), name
    if theirs.refit:
        assert ours.refit_time_ > 0
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        assert ours.score(X, y) == theirs.score(X, y)


@functools.cache
def searched():
    grid = [{**GRID, "hidden_layer_sizes": [(8,)]}, {"dropout": [0.1, 0.3], "random_state": [1]}]
    options = {"cv": FOLDS, "scoring": "neg_log_loss", "return_train_score": True}
    search = estimators.LaneSearchCV(classifier(), grid, **options).fit(X, NAMES)
    return search, GridSearchCV(classifier(), grid, **options).fit(X, NAMES)


def test_the_results_are_those_of_grid_search():
    ours, theirs = searched()
    same_results(ours, theirs)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    np.testing.assert_array_equal(ours.predict_log_proba(X), theirs.predict_log_proba(X))
    np.testing.assert_array_equal(ours.classes_, ["bird", "cat", "dog"])
    assert ours.n_features_in_ == 4
    assert not hasattr(ours, "decision_function")


def test_each_lane_is_the_estimator_fitted_alone_and_all_are_one_program():
    seen = []

    def scoring(estimator, inputs, targets):
        seen.append((estimator, estimator.predict_proba(X)))
        return accuracy_score(targets, estimator.predict(inputs))

    one = classifier(hidden_layer_sizes=(7,))  # no other test's program
    search = estimators.LaneSearchCV(one, GRID, cv=FOLDS, scoring=scoring, refit=False).fit(X, NAMES)
    assert len(seen) == 8
    programs = {segment.program(estimator.run_.plan) for estimator, _ in seen}
    assert [program.segment._cache_size() for program in programs] == [1]
    splits = list(FOLDS.split(X, NAMES))
    for place, (estimator, probabilities) in enumerate(seen):
        params, (train, test) = search.cv_results_["params"][place // 2], splits[place % 2]
        alone = clone(one).set_params(**params).fit(X[train], NAMES[train])
        np.testing.assert_array_equal(probabilities, alone.predict_proba(X))
        assert estimator.loss_curve_ == alone.loss_curve_
        score = search.cv_results_[f"split{place % 2}_test_score"][place // 2]
        assert score == accuracy_score(NAMES[test], alone.predict(X[test]))
    assert not hasattr(search, "best_estimator_")


@pytest.mark.slow
def test_early_stopping_weights_and_several_scores():
    """Each lane stops when its own held-out examples say so."""
    one = classifier(early_stopping=True, n_iter_no_change=2, max_iter=30, class_weight="balanced")
    grid = {"learning_rate_init": [0.03, 0.3]}
    options = {"cv": FOLDS, "scoring": ["accuracy", "neg_log_loss"], "refit": "neg_log_loss"}
    weights = np.linspace(0.5, 2, 48)
    ours = estimators.LaneSearchCV(one, grid, **options).fit(X, NAMES, sample_weight=weights)
    same_results(ours, GridSearchCV(one, grid, **options).fit(X, NAMES, sample_weight=weights))
    assert set(ours.scorer_) == {"accuracy", "neg_log_loss"}


def test_random_draws_are_those_of_randomized_search():
    space = {"learning_rate_init": scipy.stats.loguniform(1e-3, 1e-1), "alpha": [1e-4, 1.0]}
    options = {"n_iter": 3, "cv": FOLDS, "random_state": 7}
    ours = estimators.LaneSearchCV(classifier(), space, **options).fit(X, NAMES)
    same_results(ours, RandomizedSearchCV(classifier(), space, **options).fit(X, NAMES))


@pytest.mark.slow
def test_regression_groups_and_options_of_a_function_that_builds():
    def build(features, outputs, width=4):
        return jd.models.mlp([features, width, outputs], activation="tanh")

    targets = np.stack([X @ [1, -1, 0.5, 0], X[:, 0]], axis=1)
    one = estimators.Regressor(build, loss="huber", batch_size=16, max_iter=3, random_state=0)
    grid = {"width": [4, 5], "learning_rate_init": [0.01, 0.1]}
    groups = np.arange(48) // 12
    ours = estimators.LaneSearchCV(one, grid, cv=GroupKFold(2)).fit(X, targets, groups=groups)
    assert ours.best_estimator_.run_.plan.loss is jd.losses.huber
    same_results(ours, GridSearchCV(one, grid, cv=GroupKFold(2)).fit(X, targets, groups=groups), targets)


@pytest.mark.slow
def test_a_fold_may_lack_a_class():
    order = np.argsort(Y, kind="stable")
    folds = [(order[:20], order[20:]), (order, order[::2])]
    assert len(set(Y[order[:20]])) == 2
    options = {"cv": folds, "scoring": "accuracy"}
    ours = estimators.LaneSearchCV(classifier(), GRID, **options).fit(X, NAMES)
    same_results(ours, GridSearchCV(classifier(), GRID, **options).fit(X, NAMES))


def test_a_candidate_that_cannot_be_fitted_scores_nothing():
    grid = {"alpha": [-1.0, 1e-4], "learning_rate_init": [0.01]}
    with pytest.warns((FitFailedWarning, UserWarning), match="fits failed|non-finite") as caught:
        ours = estimators.LaneSearchCV(classifier(), grid, cv=FOLDS).fit(X, NAMES)
    said = " ".join(str(warning.message) for warning in caught)
    assert "2 fits failed out of a total of 4" in said
    assert "alpha must be >= 0" in said
    assert np.isnan(ours.cv_results_["mean_test_score"][0])
    assert ours.best_params_["alpha"] == 1e-4
    np.testing.assert_array_equal(ours.cv_results_["rank_test_score"], [2, 1])
    with pytest.raises(ValueError, match="alpha must be >= 0"):
        estimators.LaneSearchCV(classifier(), grid, cv=FOLDS, error_score="raise").fit(X, NAMES)


def test_frames_pickles_clones_and_pipelines():
    import pandas

    search = clone(estimators.LaneSearchCV(classifier(), {"alpha": [0.1, 1.0]}, cv=FOLDS))
    frame = pandas.DataFrame(X, columns=list("abcd"))
    search.fit(frame, NAMES)
    assert list(search.feature_names_in_) == list("abcd")
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(frame), search.predict(frame))
    line = make_pipeline(StandardScaler(), clone(search)).fit(X, NAMES)
    assert line.score(X, NAMES) > 0.4


def test_ctrl_c_ends_the_search(monkeypatch):
    monkeypatch.setattr(_search, "fit_lanes", lambda **_: [SimpleNamespace(result="interrupted")] * 8)
    with pytest.raises(KeyboardInterrupt):
        estimators.LaneSearchCV(classifier(), GRID, cv=FOLDS).fit(X, NAMES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": LogisticRegression()}, "MLPClassifier, MLPRegressor, Classifier or Regressor; got LogisticReg"),
        ({"estimator": make_pipeline(StandardScaler(), classifier())}, "got Pipeline. In a pipeline, make the search"),
        ({"param_grid": {"alhpa": [1.0]}}, "the estimator has no parameter 'alhpa'; did you mean 'alpha'"),
        ({"param_grid": {"alpha": 1.0}}, "parameter 'alpha' needs to be a list"),
        ({"param_grid": 3}, "dict or a list"),
        ({"n_iter": 0}, "n_iter must be >= 1"),
        ({"n_iter": 2.5}, "n_iter must be a whole number"),
        ({"scoring": "acuracy"}, "The 'scoring' parameter of LaneSearchCV must be"),
        ({"scoring": ["accuracy", "neg_log_loss"]}, "refit must be set to a scorer key"),
        ({"cv": []}, "nothing to fit: 4 candidates and 0 folds"),
    ],
)
def test_bad_arguments(change, message):
    given = {"estimator": classifier(), "param_grid": GRID} | change
    with pytest.raises((ValueError, TypeError), match=message):
        estimators.LaneSearchCV(**given).fit(X, NAMES)


def test_bad_parameters_of_fit():
    with pytest.raises(TypeError, match="fit takes sample_weight and groups; got epochs"):
        estimators.LaneSearchCV(classifier(), GRID).fit(X, NAMES, epochs=3)
    with pytest.raises(ValueError, match="requires y to be passed"):
        estimators.LaneSearchCV(classifier(), GRID).fit(X)
