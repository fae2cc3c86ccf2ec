"""Optuna proposes, lanes try: its ask and tell behind the generator that a search takes."""

import numpy as np
import pytest

import jaxdict as jd
from small_run import CLASSES, HELD, LOSS, X, Y


def proposals(study, rounds, count):
    """Lists of candidates, each answered with the list of their scores."""
    for _ in range(rounds):
        trials = [study.ask() for _ in range(count)]
        scores = yield [
            {
                "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1.0, log=True),
                "width": trial.suggest_categorical("width", [4, 8]),
            }
            for trial in trials
        ]
        for trial, score in zip(trials, scores, strict=True):
            study.tell(trial, score)


@pytest.mark.slow
def test_optuna_drives_batches_of_lanes():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=8))
    table = jd.tune.search(
        lambda width: jd.models.mlp([4, width, CLASSES]), LOSS, jd.optimizers.adam, (X, Y),
        proposals(study, rounds=6, count=4), key=0, epochs=5, validation=HELD,
    )  # fmt: skip
    assert len(table) == len(study.trials) == 24
    assert table.compiles <= 2  # one program a width, whatever Optuna proposes
    assert study.best_value == table[0].score
    assert study.best_params["learning_rate"] == pytest.approx(table.best["learning_rate"])
    told = [trial.value for trial in study.trials]
    assert np.mean(told[8:]) < np.mean(told[:8])  # it learns from what it is told
