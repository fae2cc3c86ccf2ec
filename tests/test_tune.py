"""Searches: every trial is the run alone, whatever else is run, broken off or shared out."""

import csv
import functools
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.stats

import jaxdict as jd
from small_run import CLASSES, HELD, LOSS, X, Y, same_bits

tune = jd.tune


def model(width, activation="tanh"):
    return jd.models.mlp([4, width, CLASSES], activation=activation)


RATES = [0.003, 0.1, 0.03, 3e38]  # of which the last diverges
common = {"key": 5, "epochs": 4, "batch_size": 16, "metrics": "accuracy"}
search = functools.partial(tune.search, model, LOSS, jd.optimizers.adam, (X, Y), **common)
halving = functools.partial(
    tune.successive_halving,
    model,
    LOSS,
    jd.optimizers.adam,
    (X, Y),
    validation=HELD,
    factor=2,
    **common | {"epochs": 6},
)
GRID = tune.grid({"width": [4, 8], "learning_rate": RATES})


@functools.cache
def whole():
    return search(GRID, validation=HELD, seeds=2)


def alone(candidate, seed, epochs=4, data=(X, Y), validation=HELD):
    return jd.fit(
        functools.partial(model, candidate["width"]), LOSS, jd.optimizers.adam, data, validation=validation,
        hyperparameters={"learning_rate": candidate["learning_rate"]}, batch_size=16, metrics="accuracy",
        key=jax.random.fold_in(jax.random.key(5), seed), epochs=epochs,
    )  # fmt: skip


def known(table):
    """Records but for times."""
    return [{name: value for name, value in record.items() if name != "seconds"} for record in table.records]


def same_table(a, b):
    assert known(a) == known(b)
    for one, other in zip(a, b, strict=True):
        assert str(one) == str(other)  # NaN is equal to NaN here


# --- spaces -----------------------------------------------------------------------------------------------------------


def test_a_grid_is_all_combinations_in_order():
    found = tune.grid({"a": [1, 2], "b": tune.choice("xyz"), "c": 0.5, "d": np.array([3])})
    assert found == [{"a": a, "b": b, "c": 0.5, "d": 3} for a in (1, 2) for b in "xyz"]
    assert tune.grid({}) == [{}]


def test_random_candidates_are_spread_as_they_should_be():
    space = {
        "u": tune.uniform(-1, 3), "l": tune.log_uniform(1e-4, 1e-1), "i": tune.integer(2, 5),
        "k": tune.integer(1, 64, log=True), "c": ["a", "b"],
    }  # fmt: skip
    drawn = tune.random(space, 2000, key=0)
    columns = {name: [one[name] for one in drawn] for name in space}
    assert scipy.stats.kstest(columns["u"], scipy.stats.uniform(-1, 4).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(columns["l"], scipy.stats.loguniform(1e-4, 1e-1).cdf).pvalue > 1e-3
    assert scipy.stats.chisquare(np.unique(columns["i"], return_counts=True)[1]).pvalue > 1e-3
    assert scipy.stats.chisquare(np.unique(columns["c"], return_counts=True)[1]).pvalue > 1e-3
    assert all(type(i) is int for i in columns["i"] + columns["k"])
    assert (min(columns["i"]), max(columns["i"]), min(columns["k"]), max(columns["k"])) == (2, 5, 1, 64)
    assert abs(np.median(columns["k"]) - math.sqrt(0.5 * 64.5)) < 2
    names = np.array([columns["u"], columns["l"], columns["i"], columns["k"]])
    assert np.abs(np.corrcoef(names) - np.eye(4)).max() < 0.1
    assert tune.random(space, 3, key=0) == drawn[:3]
    assert tune.random(space, 3, key=jax.random.key(1)) != drawn[:3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tune.uniform(2, 1), "uniform needs low < high; got 2 and 1"),
        (lambda: tune.log_uniform(0, 1), "log_uniform needs 0 < low < high; got 0 and 1"),
        (lambda: tune.integer(1.5, 2), "low must be"),
        (lambda: tune.choice([]), "at least one value"),
        (lambda: tune.grid({"a": tune.uniform(0, 1)}), "'a' is an interval: a grid needs its values one by one"),
        (lambda: tune.grid({"a": []}), "'a' has no value"),
        (lambda: tune.random({"a": 1}, 0, key=0), "count must be"),
        (lambda: search(GRID, validaton=HELD), "no argument 'validaton'.*validation"),
        (lambda: search([{"widht": 3}]), "nothing takes the choice 'widht'"),
        (lambda: search([{"width": 3, "rate": 0.1}]), "nothing takes the hyperparameter 'rate'"),
        (lambda: search([3]), "candidate 0 must be a dict"),
        (lambda: search(GRID, monitor="acuracy"), "'acuracy'.*accuracy"),
        (lambda: search(GRID, mode="least"), "mode must be"),
        (lambda: search(GRID, seeds=0), "seeds must be"),
        (lambda: search(GRID, part=(2, 2)), r"part must be \(number, count\)"),
        (lambda: search(GRID, folds=3, validation=HELD), "validation or folds, not both"),
        (lambda: search(GRID, folds=51), "count must be from 2 to 50"),
        (lambda: search(GRID, folds=[(1, 2, 3)]), "folds must be a number, or pairs"),
        (lambda: tune.search(model, LOSS, "adam", iter(()), GRID, **common), "needs .inputs, targets."),
        (lambda: tune.successive_halving(model, LOSS, "adam", (X, Y), GRID, factor=1, **common), "factor must be"),
        (
            lambda: tune.successive_halving(model, LOSS, "adam", (X, Y), GRID, min_epochs=5, **common),
            "from 1 to epochs",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((TypeError, ValueError, KeyError), match=message):
        call()


# --- search -----------------------------------------------------------------------------------------------------------


def test_every_trial_is_the_run_alone():
    table = whole()
    assert table.compiles == 2  # one for each width
    assert len(table) == len(GRID)
    for row in table:
        for seed in range(2):
            run = alone(row.parameters, seed)
            record = next(r for r in table.records if (r["candidate"], r["seed"]) == (row.candidate, seed))
            assert record["result"] == run.result == row.results[seed]
            if run.result == "done":
                losses = run.history["validation_loss"]
                assert (record["score"], record["epoch"]) == (losses.min(), losses.argmin() + 1)
                assert row.scores[seed] == losses.min()
                np.testing.assert_allclose(record["curve"], losses, rtol=1e-5)


def test_the_table_is_sorted_and_diverged_candidates_are_last():
    table = whole()
    scores = [row.score for row in table]
    assert all(row.parameters["learning_rate"] == 3e38 for row in table[-2:])
    assert [math.isnan(s) for s in scores] == [False] * 6 + [True] * 2
    assert scores[:6] == sorted(scores[:6])
    assert table.best == table[0].parameters
    row = table[0]
    assert row.score == np.mean(row.scores)
    assert row.std == pytest.approx(np.std(row.scores, ddof=1))
    better = search(GRID, validation=HELD, seeds=2, monitor="validation_accuracy")
    assert better.mode == "max"
    assert better[0].score == max(r.score for r in better[:6])


def test_folds_are_lanes():
    """A candidate's trials are runs on each fold, by positions: of a number, of pairs, of a splitter."""
    from sklearn.model_selection import KFold

    data = X[:48], Y[:48]  # folds of one size
    folds = jd.data.folds(data, 3, key=5)
    candidate = {"width": 8, "learning_rate": 0.03}
    table = tune.cross_validate(
        functools.partial(model, 8), LOSS, jd.optimizers.adam, data, folds=3, hyperparameters={"learning_rate": 0.03},
        **common,
    )  # fmt: skip
    assert len(table) == 1
    for score, (rest, held) in zip(table[0].scores, folds, strict=True):
        run = alone(candidate, 0, data=(X[rest], Y[rest]), validation=(X[held], Y[held]))
        assert score == run.history["validation_loss"].min()
    find = functools.partial(tune.search, model, LOSS, jd.optimizers.adam, data, [candidate], **common)
    same_table(find(folds=3), find(folds=folds))
    splitter = KFold(3, shuffle=True, random_state=0)
    same_table(find(folds=splitter), find(folds=list(splitter.split(data[0]))))


def test_a_fraction_is_held_out_once_for_all():
    table = search(GRID[:2], validation=0.3)
    rest, held = jd.data.split((X, Y), 0.3, key=5)
    for row in table:
        assert row.score == alone(row.parameters, 0, data=rest, validation=held).history["validation_loss"].min()


def test_a_hundred_points_of_one_signature_compile_once():
    candidates = tune.random({"learning_rate": tune.log_uniform(1e-4, 0.3)}, 100, key=0)
    find = functools.partial(
        tune.search, jd.models.mlp([4, 6, CLASSES]), LOSS, jd.optimizers.adam, (X, Y), epochs=1, validation=HELD
    )
    assert [find(candidates, key=key).compiles for key in (0, 1)] == [1, 0]


def test_models_optimizers_and_batch_sizes_are_choices():
    small, wide = (jd.models.mlp([4, width, CLASSES], activation="tanh") for width in (4, 8))
    candidates = [
        {"model": small, "optimizer": jd.optimizers.adam, "batch_size": 16, "learning_rate": 0.03},
        {"model": wide, "optimizer": "rmsprop", "batch_size": 25, "learning_rate": 0.01},
    ]
    options = {name: value for name, value in common.items() if name != "batch_size"}
    table = tune.search(None, LOSS, None, (X, Y), candidates, validation=HELD, **options)
    assert table.compiles == 2
    for row in table:
        chosen = row.parameters | {"optimizer": jd.lookup("rmsprop").function} if row.candidate else row.parameters
        run = jd.fit(
            chosen["model"], LOSS, chosen["optimizer"], (X, Y), key=jax.random.fold_in(jax.random.key(5), 0), epochs=4,
            batch_size=chosen["batch_size"], hyperparameters={"learning_rate": chosen["learning_rate"]},
            validation=HELD, metrics="accuracy",
        )  # fmt: skip
        assert row.score == run.history["validation_loss"].min()
    columns = table.columns()
    assert [json.loads(json.dumps(m)) for m in columns["model"]] == columns["model"]
    assert set(columns["optimizer"]) == {"adam", "rmsprop"}


def test_a_generator_proposes_by_scores():
    """Halving an interval of rates: what is sent are the scores of what was yielded."""
    seen = []

    def propose():
        low, high = 1e-3, 0.3
        for _ in range(3):
            rates = [low, math.sqrt(low * high), high]
            scores = yield [{"width": 4, "learning_rate": rate} for rate in rates]
            seen.append((rates, scores))
            best = rates[int(np.argmin(scores))]
            low, high = max(low, best / 3), min(high, best * 3)

    table = search(propose(), validation=HELD)
    assert len(table) == 9
    by_number = {row.candidate: row for row in table}
    for k, (rates, scores) in enumerate(seen):
        assert [by_number[3 * k + i].parameters["learning_rate"] for i in range(3)] == rates
        assert [by_number[3 * k + i].score for i in range(3)] == scores


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_search_that_was_broken_off_goes_on(tmp_path):
    """Killed in the middle of a line: what is on record is not run again, and the table is the same."""
    path = tmp_path / "deep" / "records.jsonl"
    ran = []

    def stop(record):
        ran.append(record)
        if len(ran) == 5:
            raise RuntimeError("the power is gone")

    options = {"validation": HELD, "seeds": 2, "records": path}
    with pytest.raises(RuntimeError, match="power"):
        search(GRID, on_record=stop, **options)
    with path.open("a") as file:
        file.write('{"candidate": 7, "fold": 0, "se')
    assert 5 <= len(tune.load(path).records) < 16
    done = len(tune.load(path).records)
    ran.clear()
    table = search(GRID, on_record=ran.append, **options)
    assert len(ran) == 16 - done
    same_table(table, whole())
    assert known(tune.load(path)) == known(whole())
    assert search(GRID, on_record=ran.append, **options).compiles == 0
    assert len(ran) == 16 - done


KILLED = """
import sys
sys.path.insert(0, {tests!r})
import test_tune
test_tune.search(test_tune.GRID, validation=test_tune.HELD, seeds=40, epochs=300, records={path!r})
"""


@pytest.mark.slow
def test_a_search_that_is_killed_at_random_moments_gives_the_same_table(tmp_path):
    """SIGKILL some milliseconds after a random number of records, until one process comes to its end."""
    path, rng, kills = tmp_path / "records.jsonl", np.random.default_rng(), 0
    script = KILLED.format(tests=str(Path(__file__).parent), path=str(path))

    def lines():
        return path.read_bytes().count(b"\n") if path.exists() else 0

    while True:
        process, enough = subprocess.Popen([sys.executable, "-c", script]), lines() + rng.integers(1, 60)
        while process.poll() is None and lines() < enough:
            time.sleep(0.001)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        time.sleep(rng.uniform(0, 0.01))
        process.kill()
        process.wait()
        kills += 1
    assert kills >= 5
    assert known(tune.load(path)) == known(search(GRID, validation=HELD, seeds=40, epochs=300))


PART = """
import sys
sys.path.insert(0, {tests!r})
import test_tune
test_tune.search(test_tune.GRID, validation=test_tune.HELD, seeds=20, part=({part}, 3), records={path!r})
"""


@pytest.mark.slow
def test_processes_share_a_search_out_and_one_is_killed_and_started_again(tmp_path):
    paths = [tmp_path / f"part-{k}.jsonl" for k in range(3)]

    def start(k):
        script = PART.format(tests=str(Path(__file__).parent), part=k, path=str(paths[k]))
        return subprocess.Popen([sys.executable, "-c", script])

    processes = [start(k) for k in range(3)]
    while processes[1].poll() is None and not (paths[1].exists() and paths[1].read_bytes().count(b"\n") > 5):
        time.sleep(0.001)
    assert processes[1].poll() is None
    processes[1].kill()
    processes[1].wait()
    assert 5 <= len(tune.load(paths[1]).records) < 60
    processes[1] = start(1)
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert known(tune.load(*paths)) == known(search(GRID, validation=HELD, seeds=20))


def test_records_of_another_search_are_not_taken_for_this(tmp_path):
    path = tmp_path / "records.jsonl"
    options = {"validation": HELD, "records": path}
    search(GRID[:2], **options)
    held = path.read_bytes()
    for change, message in (
        ({"key": 6}, "another search: key was"),
        ({"batch_size": 8}, "another search: options was"),
        ({"validation": (HELD[0][:-1], HELD[1][:-1])}, "another search: options"),
        ({"monitor": "loss"}, "another search: monitor was 'validation_loss' and is 'loss'"),
    ):
        with pytest.raises(ValueError, match=message):
            search(GRID[:2], **options | change)
    with pytest.raises(ValueError, match=r"candidate 1 was .* and is"):
        search(GRID[:1] + GRID[4:5], **options)
    assert path.read_bytes() == held
    other = tmp_path / "other.txt"
    other.write_text("rate,loss\n1,2\n")
    with pytest.raises(ValueError, match="holds no records"):
        search(GRID[:2], validation=HELD, records=other)
    with pytest.raises(ValueError, match="holds no records"):
        tune.load(other)


def test_parts_are_shared_out_and_put_together(tmp_path):
    paths = [tmp_path / f"{k}.jsonl" for k in range(3)]
    parts = [search(GRID, validation=HELD, seeds=2, part=(k, 3), records=paths[k]) for k in range(3)]
    assert [len(part) for part in parts] == [3, 3, 2]
    assert known(tune.load(*paths)) == known(whole())
    with pytest.raises(FileNotFoundError):
        tune.load(tmp_path / "none.jsonl")


# --- successive halving, hyperband, nested ----------------------------------------------------------------------------

NINE = tune.grid({"width": [4, 8], "learning_rate": [0.001, 0.003, 0.01, 0.03, 0.1]})[:9]


def test_halving_goes_on_with_the_best():
    seen = []
    table = halving(NINE, on_record=seen.append)
    budgets = {budget: [r for r in seen if r["budget"] == budget] for budget in (1, 2, 4, 6)}
    assert [len(of_one) for of_one in budgets.values()] == [9, 4, 2, 1]
    for few, more in ((1, 2), (2, 4), (4, 6)):
        ranked = sorted(budgets[few], key=lambda r: (r["score"], r["candidate"]))
        assert {r["candidate"] for r in budgets[more]} == {r["candidate"] for r in ranked[: len(budgets[more])]}
    assert [row.epochs for row in table] == [6, 4, 2, 2, 1, 1, 1, 1, 1]
    for row in table[:4]:  # as if it had never stopped
        run = alone(row.parameters, 0, epochs=row.epochs)
        assert row.score == run.history["validation_loss"].min()


def test_halving_that_was_broken_off_gives_the_same_table(tmp_path):
    ran = []

    def stop(record):
        ran.append(record)
        if len(ran) == 11:  # in the second round
            raise RuntimeError

    with pytest.raises(RuntimeError):
        halving(NINE, records=tmp_path / "r.jsonl", on_record=stop)
    same_table(halving(NINE, records=tmp_path / "r.jsonl"), halving(NINE))


def test_hyperband_brackets():
    """R = 9, factor 3: 9 candidates from 1 epoch, 5 from 3, 3 with all 9, as in table 1 of the paper for R = 9."""
    seen = []
    table = tune.hyperband(
        model, LOSS, jd.optimizers.adam, (X, Y), {"width": 4, "learning_rate": tune.log_uniform(1e-3, 0.3)},
        validation=HELD, on_record=seen.append, **common | {"epochs": 9},
    )  # fmt: skip
    assert len(table) == 9 + 5 + 3
    count = {(b, low): 0 for b in (1, 3, 9) for low in (0, 9, 14)}
    for record in seen:
        count[record["budget"], max(low for low in (0, 9, 14) if low <= record["candidate"])] += 1
    assert [count[b, 0] for b in (1, 3, 9)] == [9, 3, 1]
    assert [count[b, 9] for b in (1, 3, 9)] == [0, 5, 1]
    assert [count[b, 14] for b in (1, 3, 9)] == [0, 0, 3]


@pytest.mark.slow
def test_nested_cross_validation_scores_what_the_search_did_not_see():
    data = X[:48], Y[:48]
    found = tune.nested(model, LOSS, jd.optimizers.adam, data, GRID[:3], outer=3, inner=2, **common)
    for score, chosen, table, (rest, held) in zip(
        found.scores, found.chosen, found.tables, jd.data.folds(data, 3, key=5), strict=True
    ):
        train = X[rest], Y[rest]
        again = tune.search(model, LOSS, jd.optimizers.adam, train, GRID[:3], folds=2, **common)
        same_table(table, again)
        assert chosen == table.best
        run = alone(chosen, 0, max(1, round(table[0].epoch)), data=train, validation=(X[held], Y[held]))
        assert score == run.history["validation_loss"][-1]


# --- what is written --------------------------------------------------------------------------------------------------


def test_tables_are_written(tmp_path):
    table = whole()
    table.to_csv(tmp_path / "a" / "table.csv")
    rows = list(csv.DictReader((tmp_path / "a" / "table.csv").read_text().splitlines()))
    assert [float(row["score"]) for row in rows[:6]] == [row.score for row in table[:6]]
    assert [int(row["width"]) for row in rows] == [row.parameters["width"] for row in table]
    written = json.loads(table.to_json(tmp_path / "table.json").read_text())
    assert [row["score"] for row in written["rows"]] == [None if math.isnan(r.score) else r.score for r in table]
    assert written["rows"][0]["scores"] == list(table[0].scores)
    frame = table.to_pandas()
    assert list(frame["rank"]) == list(range(1, 9))
    assert "0.03" in str(table)
    assert str(table).count("\n") == 8
    assert "width" in str(table)


def test_pictures(tmp_path):
    figure = whole().plot(tmp_path / "search.png", curves=3)
    assert (tmp_path / "search.png").stat().st_size > 20_000
    left, right = figure.axes
    lines = [line for line in left.lines if len(line.get_xdata()) == 3]
    assert len(lines) == 6  # what diverged has no score to be drawn at
    best = lines[-1].get_ydata()
    assert best[-1] == min(line.get_ydata()[-1] for line in lines)
    assert len(right.lines) == 6
    np.testing.assert_allclose(right.lines[0].get_ydata(), whole().records[2 * whole()[0].candidate]["curve"])
    with pytest.raises(ValueError, match="a score for each candidate"):
        jd.plots.search([], [], [], "loss")


def test_folds_share_examples_and_labels_out():
    labels = np.repeat([0, 1, 2], [30, 11, 9])
    folds = jd.data.folds((np.arange(50), labels), 4, key=0)
    assert sorted(len(held) for _, held in folds) == [12, 12, 13, 13]
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in folds])), np.arange(50))
    for rest, held in folds:
        np.testing.assert_array_equal(np.union1d(rest, held), np.arange(50))
        for label, size in ((0, 30), (1, 11), (2, 9)):
            assert abs(np.sum(labels[held] == label) - size / 4) < 1
    same_bits(folds[0][1], jd.data.folds((np.arange(50), labels), 4, key=0)[0][1])
    assert not np.array_equal(folds[0][1], jd.data.folds((np.arange(50), labels), 4, key=1)[0][1])
    assert {len(held) for _, held in jd.data.folds((X, X), 7, key=0)} == {7, 8}
    with pytest.raises(ValueError, match="from 2 to 50"):
        jd.data.folds((X, Y), 1, key=0)
    with pytest.raises(ValueError, match="integer labels"):
        jd.data.folds((X, X), 2, key=0, stratify=True)
