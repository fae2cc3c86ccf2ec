"""A random search on the digits, 40 candidates on five folds: by lanes, and by scikit-learn on two cores.

    python benchmarks/search.py --date 2025-01-31

Every turn is a process of its own, so that compilation and the start of workers count; turns alternate. The candidates
are the same: the learning rate and the penalty drawn by their logarithms, one of two sizes of network; Adam, batches of
32, 20 epochs, no early end. scikit-learn's search is over its own MLPClassifier.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import _timing

PACKAGES = ("jax", "jaxlib", "scikit-learn", "joblib", "numpy")
CONTENDERS = {
    "lanes": "jaxdict `LaneSearchCV`",
    "tune": "jaxdict `tune.search`",
    "sklearn": "scikit-learn `RandomizedSearchCV`, n_jobs=2",
}


def turn(name: str, *, quick: bool) -> dict[str, Any]:
    """One search: seconds from the loaded data to the best of them refitted, but for ``tune``, and the best score."""
    import scipy.stats
    from sklearn.datasets import load_digits
    from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, StratifiedKFold

    inputs, targets = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype("float32")
    space = {
        "learning_rate_init": scipy.stats.loguniform(3e-4, 3e-2), "alpha": scipy.stats.loguniform(1e-5, 1e-1),
        "hidden_layer_sizes": [(64,), (128, 64)],
    }  # fmt: skip
    count, epochs = (4, 2) if quick else (40, 20)
    options = {"batch_size": 32, "max_iter": epochs, "tol": 0.0, "n_iter_no_change": epochs, "random_state": 0}
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    began = time.perf_counter()
    if name == "sklearn":
        from sklearn.neural_network import MLPClassifier

        search: Any = RandomizedSearchCV(
            MLPClassifier(**options), space, n_iter=count, cv=folds, n_jobs=2, random_state=0
        )
        search.fit(inputs, targets)
        return {"seconds": time.perf_counter() - began, "score": float(search.best_score_)}
    import jaxdict as jd

    if name == "lanes":
        search = jd.estimators.LaneSearchCV(
            jd.estimators.MLPClassifier(**options), space, n_iter=count, cv=folds, random_state=0
        )
        search.fit(inputs, targets)
        return {"seconds": time.perf_counter() - began, "score": float(search.best_score_)}
    networks = {sizes: jd.models.mlp([64, *sizes, 10], activation="relu") for sizes in space["hidden_layer_sizes"]}
    candidates = [
        {
            "model": networks[drawn["hidden_layer_sizes"]], "learning_rate": float(drawn["learning_rate_init"]),
            "strength": float(drawn["alpha"]) / (2 * 32),
        }
        for drawn in ParameterSampler(space, count, random_state=0)
    ]  # fmt: skip
    table = jd.tune.search(
        None, "sparse_softmax_cross_entropy", jd.optimizers.adam, (inputs, targets.astype("int32")), candidates, key=0,
        epochs=epochs, folds=folds, penalty=kernels, metrics="accuracy", monitor="validation_accuracy",
    )  # fmt: skip
    return {"seconds": time.perf_counter() - began, "score": table[0].score}


def kernels(params: Any, strength: Any) -> Any:
    """What scikit-learn's alpha multiplies: the squares of the kernels."""
    from jaxdict import penalties

    return penalties.l2(params, strength, mask="*kernel")


def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--turn", choices=list(CONTENDERS), help="one turn of one, as JSON")
        parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")

    if "--turn" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--turn")
        parser.add_argument("--quick", action="store_true")
        one = parser.parse_args()
        print(json.dumps(turn(one.turn, quick=one.quick)))
        return
    chosen = _timing.arguments(__doc__, options)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for _, name in _timing.alternate(list(CONTENDERS), 1 if chosen.quick else chosen.rounds):
        command = [sys.executable, "-W", "ignore", __file__, "--turn", name, *(["--quick"] if chosen.quick else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name].append(json.loads(done.stdout.splitlines()[-1]))
        print(name, results[name][-1], file=sys.stderr, flush=True)
    _timing.publish("search", "\n\n".join(page(chosen.date, results)), {"turns": results}, write=not chosen.quick)


def page(date: str, results: dict[str, list[dict[str, Any]]]) -> list[str]:
    seconds = {name: statistics.median(one["seconds"] for one in turns) for name, turns in results.items()}
    rows = [
        [label, f"{seconds[name]:.1f}", f"{seconds['sklearn'] / seconds[name]:.1f}", f"{results[name][0]['score']:.4f}"]
        for name, label in CONTENDERS.items()
    ]
    return [
        "# A search on the digits",
        "\n".join(_timing.machine(PACKAGES, date)),
        "`benchmarks/search.py`: 40 random candidates (learning rate, penalty, one of two networks) on five folds, 20\n"
        "epochs each, the same candidates and folds for all; medians of alternating turns, each in a process of its\n"
        "own, from loaded data on: imports, compilation and refitting the best are in it (`tune.search` refits\n"
        "nothing). The score is the best candidate's mean accuracy on the folds; `tune.search` takes each run's best\n"
        "epoch, the others the last.",
        _timing.table(["", "seconds", "scikit-learn ÷ this", "best score"], rows),
    ]


if __name__ == "__main__":
    main()
