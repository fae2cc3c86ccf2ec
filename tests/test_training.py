"""Training: the step, segments, the exact last batch, weights, observers, divergence, streams, no retracing."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict.layers import Model
from jaxdict.train import segment
from jaxdict.train.step import Batch, TrainState

LOSS = "sparse_softmax_cross_entropy"
CLASSES = 3


def problem(count=50, features=4, seed=0):
    """Three clusters, hard enough that the loss stays away from 0."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    return rng.normal(size=(count, features)).astype(np.float32) + 0.8 * labels[:, None].astype(np.float32), labels


X, Y = problem()
HELD = problem(23, seed=1)
MODEL = jd.models.mlp([4, 8, CLASSES], activation="tanh")
fit = functools.partial(jd.fit, MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, batch_size=16)


@functools.cache
def base():
    return fit(epochs=6, validation=HELD, metrics="accuracy")


def same_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# ----------------------------------------------------------------------------------------- what a run computes


def by_hand(epochs, *, weights=None, by_count=True, penalty=0.0, rate=0.05, batch_size=16):
    """The same run written out in NumPy float64, with gradients by jax of a formula written here."""
    model = MODEL
    key = jax.random.key(3)
    params, _, _ = model.init(segment.child(key, "init"), (4,))
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    losses = []

    def objective(p, x, y, w, total):
        hidden = jnp.tanh(x @ p["dense_1"]["kernel"] + p["dense_1"]["bias"][None])
        z = hidden @ p["dense_2"]["kernel"] + p["dense_2"]["bias"][None]
        each = jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0]
        value = jnp.sum(w * each) / total
        return value + penalty * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p)), value

    gradient = jax.jit(jax.grad(objective, has_aux=True))
    w_all = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    for epoch in range(epochs):
        order = np.asarray(segment.shuffle(jax.random.fold_in(segment.Keys.of(key).shuffle, epoch), len(X)))
        sums = divided = 0.0
        for start in range(0, len(X), batch_size):
            i = order[start : start + batch_size]
            total = float(len(i)) if by_count else w_all[i].sum()
            with jax.enable_x64(True):
                grads, value = gradient(params, X[i].astype(np.float64), Y[i], w_all[i], total)
            params = jax.tree.map(lambda p, g: p - rate * np.asarray(g), params, grads)
            sums, divided = sums + float(value) * total, divided + total
        losses.append(sums / divided)
    return params, losses


@pytest.mark.parametrize("weighted", [None, "count", "weights"])
@pytest.mark.parametrize("penalty", [0.0, 0.01])
def test_a_run_is_what_one_would_write_by_hand(weighted, penalty):
    """Batches 16, 16, 16 and an exact last one of 2; sample weights under both normalizations; a penalty."""
    weights = None if weighted is None else np.linspace(0.1, 3.0, len(X)).astype(np.float32)
    options = {} if weighted is None else {"sample_weight": weights, "weight_normalization": weighted}
    if penalty:
        options["penalty"] = functools.partial(jd.penalties.l2, strength=penalty)
    run = jd.fit(MODEL, LOSS, jd.optimizers.gradient_descent(0.05), (X, Y), key=3, epochs=3, batch_size=16, **options)
    params, losses = by_hand(3, weights=weights, by_count=weighted != "weights", penalty=penalty)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-4, atol=2e-6), run.params, params)
    assert ("penalty" in run.history) == bool(penalty)


def test_the_last_batch_of_its_own_shape_is_the_masked_one():
    """A foreign model gets a step of its own shape for the last batch, a known one a masked step: the same run."""
    foreign = Model(MODEL.init, MODEL.apply)
    assert (foreign.mixes_examples, MODEL.mixes_examples) == (True, False)
    a = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=4, batch_size=16, metrics="accuracy")
    b = jd.fit(foreign, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=4, batch_size=16, metrics="accuracy")
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6), a.params, b.params)
    np.testing.assert_allclose(a.history["accuracy"], b.history["accuracy"], rtol=1e-6)


def test_class_weights_are_sample_weights_by_label():
    by_label = {0: 1.0, 1: 0.5, 2: 3.0}
    a = fit(epochs=2, class_weight=by_label)
    b = fit(epochs=2, sample_weight=np.array([by_label[int(label)] for label in Y], np.float32))
    same_bits(a.params, b.params)
    same_bits(fit(epochs=2, class_weight=[1.0, 0.5, 3.0]).params, a.params)


def test_fewer_examples_than_a_batch():
    run = jd.fit(MODEL, LOSS, "adam", (X[:5], Y[:5]), key=0, epochs=2, batch_size=16)
    assert run.step == 2


def test_batch_norm_never_sees_padding():
    model = jd.models.mlp([4, 8, CLASSES], batch_norm="before")
    x = np.concatenate([X[:16], X[:16] + 100])  # padding with the first example would be seen in the statistics
    y = np.concatenate([Y[:16], Y[:16]])
    run = jd.fit(model, LOSS, jd.optimizers.gradient_descent(0.0), (x[:20], y[:20]), key=0, epochs=1, batch_size=16)
    params, state, _ = model.init(segment.child(jax.random.key(0), "init"), (4,))
    order = segment.shuffle(jax.random.fold_in(segment.Keys.of(jax.random.key(0)).shuffle, 0), 20)
    for part in (order[:16], order[16:]):
        _, state = model.apply(params, state, x[np.asarray(part)], key=jax.random.key(0), train=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), run.state, state)


def test_validation_and_metrics_are_those_of_the_parameters():
    run = base()
    logits = np.asarray(MODEL.apply(run.params, run.state, HELD[0])[0], np.float64)
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(23), HELD[1]]
    assert run.history["validation_loss"][-1] == pytest.approx(each.mean(), rel=1e-5)
    assert run.history["validation_accuracy"][-1] == pytest.approx((logits.argmax(1) == HELD[1]).mean(), abs=1e-6)
    assert run.evaluate(HELD)["loss"] == pytest.approx(each.mean(), rel=1e-5)
    assert run.evaluate(HELD, metrics={"hits": "accuracy"})["hits"] == pytest.approx(run.evaluate(HELD)["accuracy"])


def test_validation_in_chunks_is_exact(monkeypatch):
    whole = base().evaluate((X, Y))
    segment.program.cache_clear()
    monkeypatch.setattr(segment, "VALIDATION_CHUNK", 8)
    try:
        parts = base().evaluate((X, Y))
    finally:
        segment.program.cache_clear()
    assert parts == pytest.approx(whole, rel=1e-6)


def test_a_held_out_fraction_is_stratified_and_left_out():
    run = fit(epochs=1, validation=0.2)
    keep, hold = jd.data.split_indices(len(X), 0.2, key=jax.random.key(3), labels=Y)
    same = fit(epochs=1).params  # trained on all: differs
    direct = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X[keep], Y[keep]), key=3, epochs=1, batch_size=16,
                    validation=(X[hold], Y[hold]))  # fmt: skip
    same_bits(run.params, direct.params)
    assert run.history["validation_loss"] == direct.history["validation_loss"]
    assert not np.array_equal(same["dense_1"]["kernel"], run.params["dense_1"]["kernel"])


def test_accumulation_gives_the_whole_batchs_gradient():
    a, b = fit(epochs=2, metrics="accuracy"), fit(epochs=2, metrics="accuracy", accumulation=4)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=2e-4, atol=1e-6), a.params, b.params)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(a.history["accuracy"], b.history["accuracy"], rtol=1e-6)


def test_clipping_by_optax_in_the_chain():
    clip = optax.chain(optax.clip_by_global_norm(1e-3), jd.optimizers.gradient_descent(1.0))
    run = jd.fit(MODEL, LOSS, clip, (X, Y), key=3, epochs=1, batch_size=50)
    start = MODEL.init(segment.child(jax.random.key(3), "init"), (4,))[0]
    moved = optax.tree.norm(jax.tree.map(lambda a, b: a - b, run.params, start))
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)
    assert run.history["learning_rate"][-1] == 1.0


def test_bfloat16_computes_in_it_and_keeps_float32_parameters():
    run = fit(epochs=6, precision="bfloat16", validation=HELD)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(run.params))
    difference = np.abs(run.history["loss"] - fit(epochs=6).history["loss"]).max()
    assert 1e-6 < difference < 0.05
    assert run.predict(X[:3]).dtype == jnp.float32


def test_augmentation_is_applied_in_training_only():
    """Inputs augmented to zeros give the first kernel no gradient; validation sees the inputs as they are."""
    run = fit(epochs=2, augment=lambda key, x: jnp.zeros_like(x), validation=HELD)
    start, _, _ = MODEL.init(segment.Keys.of(jax.random.key(3)).init, (4,))
    np.testing.assert_allclose(
        run.params["dense_1"]["kernel"], start["dense_1"]["kernel"], rtol=1e-5
    )  # Adam moves 0.01
    assert np.abs(run.params["dense_2"]["bias"]).min() > 1e-3
    blind = run.evaluate((np.zeros_like(HELD[0]), HELD[1]))["loss"]
    assert run.history["validation_loss"][-1] == pytest.approx(run.evaluate(HELD)["loss"], rel=1e-5)
    assert abs(run.history["validation_loss"][-1] - blind) > 1e-3


def test_augmentation_draws_anew_at_each_step():
    drawn = fit(epochs=2, augment=lambda key, x: x + jax.random.normal(key, (1, 1)))
    fixed = fit(epochs=2, augment=lambda key, x: x + jax.random.normal(jax.random.key(0), (1, 1)))
    assert drawn.history["loss"][1] != fixed.history["loss"][1]


def test_start_from_given_parameters():
    start = base().params
    run = jd.fit(MODEL, LOSS, jd.optimizers.gradient_descent(0.0), (X, Y), key=9, epochs=1, params=start)
    same_bits(run.params, start)
    same_bits(start, base().params)  # what was given is not taken over


def test_history_columns_in_order():
    run = base()
    assert list(run.history) == ["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy",
                                 "learning_rate", "seconds", "steps_per_second"]  # fmt: skip
    np.testing.assert_array_equal(run.history["epoch"], np.arange(1, 7))
    np.testing.assert_allclose(run.history["steps_per_second"] * run.history["seconds"], 4.0)
    np.testing.assert_allclose(run.history["learning_rate"], 0.01, rtol=1e-6)
    assert run.step == 24
    frame = run.history.to_pandas()
    assert frame.index.tolist() == [1, 2, 3, 4, 5, 6]
    assert "epoch 6" in repr(run.history)
    assert "done" in repr(run)


def test_the_rate_of_a_schedule_is_in_the_history():
    schedule = jd.schedules.exponential(0.1, 4, 0.5)
    run = jd.fit(MODEL, LOSS, jd.optimizers.momentum(schedule), (X, Y), key=0, epochs=3, batch_size=16)
    np.testing.assert_allclose(run.history["learning_rate"], [schedule(3), schedule(7), schedule(11)], rtol=1e-6)
    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=0.25)
    run = jd.fit(MODEL, LOSS, injected, (X, Y), key=0, epochs=1)
    assert run.history["learning_rate"][0] == 0.25
    assert "learning_rate" not in jd.fit(MODEL, LOSS, optax.sgd(0.1), (X, Y), key=0, epochs=1).history


# --------------------------------------------------------------------------------------- segments and programs


@pytest.mark.parametrize("length", [1, 2, 6])
def test_segments_of_any_length_give_the_same_bits(length):
    run = fit(epochs=6, validation=HELD, metrics="accuracy", segment_epochs=length)
    same_bits(run.params, base().params)
    same_bits(run.optimizer_state, base().optimizer_state)
    for column in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
        np.testing.assert_array_equal(run.history[column], base().history[column])


def test_more_epochs_than_a_segment_holds_rows():
    epochs = segment.CAPACITY + 5
    run = jd.fit(MODEL, LOSS, "adam", (X[:8], Y[:8]), key=0, epochs=epochs, batch_size=8, segment_epochs=10_000)
    assert run.history.epochs == epochs
    assert np.all(run.history["loss"] > 0)


def counting(loss):
    calls = []

    def counted(predictions, labels):
        calls.append(1)
        return loss(predictions, labels)

    return counted, calls


def test_nothing_retraces():
    """Between segments, between fits of equal constructors and shapes, and when a hyperparameter's value changes."""
    loss, calls = counting(jd.losses.sparse_softmax_cross_entropy)

    def run(rate, strength=1e-3, **options):
        return jd.fit(
            jd.models.mlp([4, 8, CLASSES], activation="tanh"), loss, jd.optimizers.adam, (X, Y), key=3, batch_size=16,
            penalty=jd.penalties.l2, hyperparameters={"learning_rate": rate, "strength": strength},
            observers=[jd.observers.early_stopping(patience=50)], validation=HELD, metrics=["accuracy"], **options,
        )  # fmt: skip

    first = run(0.01, epochs=2, segment_epochs=1)
    compiled = segment.program(first.plan).segment._cache_size()
    assert compiled == 1
    del calls[:]
    second = run(0.03, epochs=5, segment_epochs=2)
    assert len(calls) <= 2  # the shapes of data and validation are looked at; nothing is traced for the program
    assert segment.program(second.plan).segment._cache_size() == 1
    assert segment.program(second.plan) is segment.program(first.plan)
    assert not np.array_equal(first.params["dense_1"]["kernel"], second.params["dense_1"]["kernel"])
    assert second.history["learning_rate"][0] == pytest.approx(0.03)


def test_equal_partials_share_a_program():
    a = fit(epochs=1, penalty=functools.partial(jd.penalties.l2, strength=0.1))
    b = fit(epochs=1, penalty=functools.partial(jd.penalties.l2, strength=0.1))
    assert segment.program(a.plan) is segment.program(b.plan)


def test_hyperparameters_reach_model_optimizer_loss_and_penalty():
    def run(**values):
        return jd.fit(
            lambda dropout: jd.models.mlp([4, 8, 1], dropout=dropout), jd.losses.huber,
            lambda rate, b1: jd.optimizers.adam(rate, b1=b1), (X, X[:, :1]), key=0, epochs=2,
            penalty=jd.penalties.l2, hyperparameters=values,
        )  # fmt: skip

    values = {"dropout": 0.1, "delta": 0.5, "rate": 0.01, "b1": 0.9, "strength": 0.01}
    losses = [run(**values).history["loss"][-1]]
    for name in values:
        losses.append(run(**values | {name: values[name] * 0.5}).history["loss"][-1])
    assert len(set(losses)) == len(losses)  # each of them matters


def test_a_plain_run_equals_one_with_hyperparameters_as_data():
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam, (X, Y), key=3, epochs=6, batch_size=16, validation=HELD,
                 metrics="accuracy", hyperparameters={"learning_rate": 0.01})  # fmt: skip
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), run.params, base().params)


def test_the_shuffle_is_a_permutation_and_uniform():
    for count in (1, 2, 5, 2048, 2049, 70_001):
        order = np.asarray(jax.jit(segment.shuffle, static_argnums=1)(jax.random.key(count), count))
        np.testing.assert_array_equal(np.sort(order), np.arange(count))
    keys = jax.random.split(jax.random.key(0), 24_000)
    orders = np.asarray(jax.jit(jax.vmap(lambda k: segment.shuffle(k, 4)))(keys))
    codes = orders @ np.array([64, 16, 4, 1])
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 49.7  # chi-square, 23 degrees, p = 0.001


@pytest.mark.parametrize("count", [1437, 3000])
def test_the_shuffle_favours_no_place(count):
    keys = jax.random.split(jax.random.key(1), 400)
    orders = np.asarray(jax.jit(jax.vmap(lambda k: segment.shuffle(k, count)))(keys))
    mean = orders.mean(axis=0)  # over draws, each place should hold (count - 1) / 2 on average
    error = (mean - (count - 1) / 2) / (count / np.sqrt(12 * 400))
    assert abs(error.mean()) < 1e-6
    assert np.abs(error).max() < 5
    assert error.std() == pytest.approx(1, abs=0.08)


def test_shuffles_of_neighbouring_epochs_are_unrelated():
    """No pair of neighbours stays together, and no order is like the one before, more often than chance has it."""
    count, epochs = 1437, 300
    base = jax.random.key(2)
    orders = np.asarray(
        jax.jit(jax.vmap(lambda e: segment.shuffle(jax.random.fold_in(base, e), count)))(jnp.arange(epochs))
    )
    together = (np.abs(np.diff(orders, axis=1)) == 1).sum()  # 2 (n - 1) / n a shuffle on average, nearly Poisson
    wanted = 2 * (count - 1) / count * epochs
    assert abs(together - wanted) < 5 * np.sqrt(wanted)
    fixed = (orders[1:] == orders[:-1]).sum()  # one place in common on average
    assert abs(fixed - (epochs - 1)) < 5 * np.sqrt(epochs - 1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(orders)]
    assert abs(np.mean(correlation)) < 5 / np.sqrt(count * (epochs - 1))
    assert np.std(correlation) == pytest.approx(1 / np.sqrt(count - 1), rel=0.25)


# -------------------------------------------------------------------------------------------------- observers


def test_best_so_far():
    run = base()
    epoch = int(np.argmin(run.history["validation_loss"])) + 1
    assert run.best.epoch == epoch
    assert run.best.value == run.history["validation_loss"][epoch - 1]
    again = fit(epochs=epoch, validation=HELD, metrics="accuracy")
    same_bits(run.best.params, again.params)


def noisy(epochs, **options):
    """A run whose validation loss turns: a large rate on little data."""
    stop = jd.observers.early_stopping(patience=3, **options)
    return jd.fit(MODEL, LOSS, jd.optimizers.adam(0.2), (X[:20], Y[:20]), key=1, epochs=epochs, batch_size=8,
                  validation=HELD, observers=[stop])  # fmt: skip


def test_early_stopping_stops_and_restores():
    run = noisy(200)
    losses = run.history["validation_loss"]
    assert run.result == "stopped"
    best = int(np.argmin(losses)) + 1
    assert run.epoch == best + 3 < 200
    assert run.message == f"stopped by an observer after epoch {run.epoch}; parameters restored from epoch {best}"
    assert run.evaluate(HELD)["loss"] == pytest.approx(losses[best - 1], rel=1e-5)
    last = noisy(200, restore_best=False)
    assert last.epoch == run.epoch
    assert last.evaluate(HELD)["loss"] == pytest.approx(losses[-1], rel=1e-5)


def test_early_stopping_takes_a_maximum_and_min_delta():
    stop = jd.observers.early_stopping(monitor="validation_accuracy", mode="max", patience=2, min_delta=2.0)
    run = fit(epochs=9, validation=HELD, metrics="accuracy", observers=[stop])
    assert run.epoch == 3  # nothing improves by 2 after the first epoch
    assert run.best.epoch == 1


def test_observers_check_what_they_are_given():
    with pytest.raises(
        ValueError,
        match=r"an observer monitors 'validation_loss' \(there is no validation data\); known: learning_rate, loss",
    ):
        fit(epochs=1, observers=[jd.observers.early_stopping()])
    with pytest.raises(ValueError, match=r"monitors 'validation_acuracy'; did you mean 'validation_accuracy'"):
        fit(epochs=1, validation=HELD, metrics="accuracy", observers=[jd.observers.best(monitor="validation_acuracy")])
    with pytest.raises(ValueError, match=r"mode must be one of 'min', 'max'; got 'mx'"):
        jd.observers.best(mode="mx")
    with pytest.raises(ValueError, match="patience must be >= 1; got 0"):
        jd.observers.early_stopping(patience=0)
    with pytest.raises(ValueError, match="min_delta must be >= 0; got -1"):
        jd.observers.early_stopping(min_delta=-1)


# ------------------------------------------------------------------------------------------- how a run ends


def exploding(epochs=20):
    blow = optax.sgd(lambda count: jnp.where(count < 12, 0.05, 1e30))
    return jd.fit(MODEL, "mean_squared_error", blow, (X, np.eye(CLASSES, dtype=np.float32)[Y]), key=3, epochs=epochs,
                  batch_size=16)  # fmt: skip


def test_a_diverged_run_names_the_epoch_and_keeps_the_last_finite_state():
    run = exploding()
    assert run.result == "diverged"
    assert run.epoch == 4
    assert run.message.startswith("diverged in epoch 4: ")
    assert run.message.endswith("the parameters are those after epoch 3")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((run.params, run.optimizer_state)))
    same_bits(run.params, exploding(3).params)
    assert run.best.epoch <= 3


def test_a_callback_can_stop_the_run_and_sees_it_live():
    seen = []

    class Watch:
        every = 2

        def on_start(self, run):
            seen.append(("start", run.epoch, run.result))

        def on_segment(self, run):
            seen.append((run.epoch, run.history.epochs, run.params["dense_1"]["bias"].shape))
            return run.epoch >= 4

        def on_end(self, run):
            seen.append(("end", run.epoch, run.result))

    run = fit(epochs=9, callbacks=[Watch()], segment_epochs=9)
    assert seen == [("start", 0, "running"), (2, 2, (8,)), (4, 4, (8,)), ("end", 4, "stopped")]
    assert run.message == "stopped by a callback after epoch 4"


def test_parameters_seen_by_a_callback_stay_valid():
    kept = []
    fit(epochs=3, segment_epochs=1, callbacks=[lambda run: kept.append(run.params) and None])
    assert [bool(np.isfinite(p["dense_1"]["kernel"]).all()) for p in kept] == [True] * 3
    same_bits(kept[1], fit(epochs=2).params)


def test_an_error_in_a_callback_still_ends_the_run():
    ended = []

    class Fails:
        def on_segment(self, run):
            raise RuntimeError("disk full")

        def on_end(self, run):
            ended.append(run.result)

    with pytest.raises(RuntimeError, match="disk full"):
        fit(epochs=3, callbacks=[Fails()])
    assert ended == ["interrupted"]


def test_every_callback_is_told_of_the_end():
    class Ends:
        def __init__(self, fails):
            self.fails, self.told = fails, False

        def on_end(self, run):
            self.told = True
            if self.fails:
                raise RuntimeError("no")

    callbacks = [Ends(True), Ends(False)]
    with pytest.raises(RuntimeError, match="no"):
        fit(epochs=1, callbacks=callbacks)
    assert all(c.told for c in callbacks)


def test_an_error_inside_a_segment_is_the_one_that_is_seen(monkeypatch):
    def broken(self, carry, end):
        if end > 2:
            jax.tree.map(lambda x: x.delete(), carry)
            raise MemoryError("the device is full")
        return type(self)._plain_segment(self, carry, end)

    from jaxdict import runner

    monkeypatch.setattr(runner._Job, "_plain_segment", runner._Job._segment, raising=False)
    monkeypatch.setattr(runner._Job, "_segment", broken)
    with pytest.raises(MemoryError, match="the device is full"):
        fit(epochs=4, segment_epochs=1, observers=[jd.observers.early_stopping(monitor="loss")])


def test_ctrl_c_leaves_a_usable_run():
    import signal

    def interrupt(run):
        if run.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    run = fit(epochs=50, segment_epochs=1, callbacks=[interrupt])
    assert run.result == "interrupted"
    assert run.message == "interrupted after epoch 2"
    assert run.predict(X).shape == (50, CLASSES)
    same_bits(run.params, fit(epochs=2).params)
    assert signal.getsignal(signal.SIGINT) is before


# ---------------------------------------------------------------------------------------------- predictions


@pytest.mark.parametrize("count", [0, 1, 7, 50])
def test_predict_any_number(count):
    run = base()
    raw = run.predict(X[:count], batch_size=16)
    assert raw.shape == (count, CLASSES)
    np.testing.assert_allclose(raw, MODEL.apply(run.params, run.state, X[:count])[0], rtol=1e-5, atol=1e-6)
    probabilities = np.asarray(run.predict(X[:count], output="probabilities"))
    np.testing.assert_allclose(probabilities.sum(1), np.ones(count), rtol=1e-5)
    np.testing.assert_array_equal(run.predict(X[:count], output="classes"), np.asarray(raw).argmax(1))


def test_predictions_averaged_over_dropout_masks():
    model = jd.models.mlp([4, 64, CLASSES], dropout=0.5)
    run = jd.fit(model, LOSS, "adam", (X, Y), key=0, epochs=2)
    plain, few, many = run.predict(X), run.predict(X, dropout_samples=2), run.predict(X, dropout_samples=300)
    assert np.abs(few - plain).mean() > np.abs(many - plain).mean() > 0


def test_predict_errors():
    with pytest.raises(ValueError, match=r"inputs must have the shape \(n, 4\); got \(3, 5\)"):
        base().predict(np.zeros((3, 5), np.float32))
    with pytest.raises(ValueError, match="output must be one of"):
        base().predict(X, output="logits")
    regression = jd.fit(jd.models.mlp([4, 1]), "mean_squared_error", "adam", (X, X[:, 0]), key=0, epochs=1)
    with pytest.raises(ValueError, match=r"output='classes' needs a loss on logits .* 'mean_squared_error'"):
        regression.predict(X, output="classes")


def test_a_vector_of_targets_beside_a_column_of_outputs_is_that_column():
    model = jd.models.mlp([4, 8, 1])
    a = jd.fit(
        model, "huber", "adam", (X, X[:, 0] * 2), key=0, epochs=3, metrics="r2", validation=(X[:9], X[:9, 0] * 2)
    )
    b = jd.fit(
        model, "huber", "adam", (X, X[:, :1] * 2), key=0, epochs=3, metrics="r2", validation=(X[:9], X[:9, :1] * 2)
    )
    same_bits(a.params, b.params)
    assert a.evaluate((X, X[:, 0] * 2)) == b.evaluate((X, X[:, :1] * 2))


def test_binary_classes():
    labels = (Y > 0).astype(np.int32)
    run = jd.fit(jd.models.mlp([4, 8, 1]), "sigmoid_cross_entropy", jd.optimizers.adam(0.05), (X, labels), key=0,
                 epochs=20, metrics="binary_accuracy", class_weight={0: 2.0, 1: 1.0})  # fmt: skip
    predicted = run.predict(X, output="classes")
    assert predicted.shape == (50,)
    assert np.mean(np.asarray(predicted) == (Y > 0)) == pytest.approx(
        run.evaluate((X, (Y > 0).astype(np.int32)))["binary_accuracy"]
    )


# ------------------------------------------------------------------------------------------ batches from outside


def batches(size=16, extra=()):
    for start in range(0, 50, size):
        yield (X[start : start + size], Y[start : start + size], *(e[start : start + size] for e in extra))


def test_batches_from_a_function():
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), batches, key=3, epochs=4, validation=HELD, metrics="accuracy")
    assert run.history.epochs == 4
    assert run.step == 16
    listed = jd.fit(
        MODEL, LOSS, jd.optimizers.adam(0.01), list(batches()), key=3, epochs=4, validation=HELD, metrics="accuracy"
    )
    same_bits(run.params, listed.params)


def test_a_batch_of_everything_equals_the_resident_run():
    a = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), [(X, Y)], key=3, epochs=5, metrics="accuracy")
    b = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=5, batch_size=50, metrics="accuracy")
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-6), a.params, b.params)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


def test_weights_come_with_batches():
    weights = np.linspace(0, 2, 50).astype(np.float32)
    a = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), [(X, Y, weights)], key=3, epochs=2)
    b = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), (X, Y), key=3, epochs=2, batch_size=50, sample_weight=weights)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


def test_many_batches_are_stacked_and_a_diverged_epoch_is_undone():
    many = [(X[i % 40 : i % 40 + 5], Y[i % 40 : i % 40 + 5]) for i in range(37)]
    run = jd.fit(MODEL, LOSS, jd.optimizers.adam(0.01), many, key=0, epochs=2)
    assert run.step == 74
    bad = jd.fit(MODEL, LOSS, optax.sgd(lambda c: jnp.where(c < 40, 0.01, jnp.inf)), many, key=0, epochs=4)
    assert (bad.result, bad.epoch) == ("diverged", 2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(bad.params))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (lambda: batches(), {"epochs": 3}, r"the batches ran out after 1 epoch\(s\): give a function"),
        (list, {}, "the data holds no batch"),
        (lambda: [X], {}, r"a batch must be \(inputs, targets\)"),
        (lambda: [(X, Y), (X[:, :3], Y)], {}, r"batch 2 holds examples of shape \(3,\), the first batch \(4,\)"),
        (lambda: [(X, Y), (X, Y + 7)], {}, r"batch 2 targets"),
        (lambda: [(X, Y)], {"validation": 0.2}, "not a fraction"),
        (lambda: [(X, Y)], {"class_weight": {0: 1.0}}, "each batch's third part"),
    ],
)
def test_errors_of_batches(data, options, message):
    given = data()
    with pytest.raises(ValueError, match=message):
        jd.fit(MODEL, LOSS, "adam", given, key=0, **({"epochs": 1} | options))


def test_data_of_no_kind():
    with pytest.raises(TypeError, match=r"data must be .* got int"):
        jd.fit(MODEL, LOSS, "adam", 3, key=0, epochs=1)


# ---------------------------------------------------------------------------------------------- one's own loop


def test_make_step_is_the_pure_step():
    step = jd.train.make_step(MODEL, LOSS, jd.optimizers.gradient_descent(0.05), metrics="accuracy")
    params, state, _ = MODEL.init(jax.random.key(0), (4,))
    train = TrainState(params, state, jd.optimizers.gradient_descent(0.05).init(params))
    new, row = jax.jit(step)(train, (X, Y), jax.random.key(1))

    def mean_loss(p):
        return jnp.mean(jd.losses.sparse_softmax_cross_entropy(MODEL.apply(p, {}, X)[0], Y))

    wanted = jax.tree.map(lambda p, g: p - 0.05 * g, params, jax.grad(mean_loss)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), new.params, wanted)
    assert float(row["loss"]) == pytest.approx(float(mean_loss(params)), rel=1e-5)
    assert 0 <= float(row["accuracy"]) <= 1
    weighted, _ = step(train, Batch(X, Y, jnp.zeros(50)), 3)
    same_bits(weighted.params, params)  # weights of zero teach nothing


def test_make_step_scans_and_vmaps_over_seeds():
    step = jd.train.make_step(MODEL, LOSS, "adam")
    optimizer = jd.optimizers.adam()

    def run(key):
        params, state, _ = MODEL.init(key, (4,))
        train = TrainState(params, state, optimizer.init(params))
        return jax.lax.scan(lambda t, k: step(t, (X, Y), k), train, jax.random.split(key, 5))[1]["loss"]

    losses = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 3))
    assert losses.shape == (3, 5)
    assert np.all(losses[:, -1] < losses[:, 0])


def test_trees_of_inputs(tmp_path):
    """A model over a dict of inputs, one of them integers: trained, saved, loaded."""

    def init(key, shapes):
        return {"w": jnp.ones((shapes["x"][0], CLASSES)), "e": jnp.zeros((CLASSES, CLASSES))}, {}, (CLASSES,)

    def apply(params, state, inputs, *, key=None, train=False):
        return inputs["x"] @ params["w"] + params["e"][inputs["group"]], state

    inputs = {"x": X, "group": Y}
    run = jd.fit(
        (init, apply), LOSS, jd.optimizers.adam(0.1), (inputs, Y), key=0, epochs=9, validation=0.2, metrics="accuracy"
    )
    assert run.history["accuracy"][-1] > 0.8
    loaded = jd.load_run(run.save(tmp_path / "run.safetensors"), model=Model(init, apply))
    np.testing.assert_array_equal(loaded.predict(inputs), run.predict(inputs))
    assert loaded.evaluate((inputs, Y)) == run.evaluate((inputs, Y))


def test_a_module_of_another_library_is_pointed_to_its_converter():
    import equinox
    from flax import linen, nnx

    modules = [
        (equinox.nn.Linear(4, 3, key=jax.random.key(0)), "from_equinox"),
        (linen.Dense(3), "from_flax"),
        (nnx.Linear(4, 3, rngs=nnx.Rngs(0)), "from_flax"),
    ]
    for module, name in modules:
        with pytest.raises(TypeError, match=name):
            jd.fit(module, LOSS, "adam", (X, Y), key=0, epochs=1)


# ---------------------------------------------------------------------------------------------------- bad input

BAD_X = X.copy()
BAD_X[7, 2] = np.nan


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": "adma"}, KeyError, r"no optimizer is called 'adma'; did you mean 'adam'"),
        ({"loss": "huberr"}, KeyError, r"no loss is called 'huberr'; did you mean 'huber'"),
        ({"metrics": "acuracy"}, KeyError, r"'acuracy'.*did you mean 'accuracy'"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "two columns are called 'accuracy'"),
        ({"model": "mlp"}, TypeError, r"a model must be a jaxdict Model or an \(init, apply\) pair; got str"),
        ({"optimizer": 3}, TypeError, "optimizer must be an optax transformation, a name or a function; got 3"),
        ({"optimizer": lambda: 3}, TypeError, "the optimizer function must give an optax transformation; got int"),
        ({"epochs": 0}, ValueError, "epochs must be >= 1; got 0"),
        ({"epochs": 2.0}, TypeError, "epochs must be a whole number; got 2.0"),
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1; got 0"),
        ({"segment_epochs": 0}, ValueError, "segment_epochs must be >= 1; got 0"),
        ({"accumulation": 3}, ValueError, "accumulation must divide batch_size; got 3 and 32"),
        ({"precision": "bfloat"}, ValueError, r"precision must be one of .* did you mean 'bfloat16'"),
        ({"weight_normalization": "sum"}, ValueError, "weight_normalization must be one of"),
        ({"key": "seed"}, TypeError, r"key must be a PRNG key .* or an int seed; got 'seed'"),
        ({"callbacks": [3]}, TypeError, "a callback must be a function of the run"),
        ({"data": (X, Y[:-1])}, ValueError, r"50.*49|49.*50"),
        ({"data": (X[:0], Y[:0])}, ValueError, r"empty|no example|at least"),
        ({"data": (BAD_X, Y)}, ValueError, r"row 7, column 2"),
        ({"data": (X, Y + 1)}, ValueError, r"3"),
        ({"data": (X[:, :3], Y)}, ValueError, r"mlp\(\[4, 8, 3\]\) takes examples of shape \(4,\); got \(3,\)"),
        ({"data": (X, Y.astype(np.float32))}, TypeError, r"labels"),
        ({"validation": (X[:, :3], Y)}, ValueError, r"validation examples have the shape \(3,\)"),
        ({"validation": 1.5}, ValueError, "fraction must be > 0 and < 1; got 1.5"),
        ({"validation": "some"}, TypeError, "validation must be"),
        ({"sample_weight": -np.ones(50)}, ValueError, "sample_weight must be >= 0"),
        ({"sample_weight": np.ones(49)}, ValueError, r"shape \(50,\); got \(49,\)"),
        ({"data": (X, Y, np.ones(50)), "sample_weight": np.ones(50)}, ValueError, "sample weights were given twice"),
        ({"class_weight": {5: 1.0}}, ValueError, "5"),
        ({"hyperparameters": {"lr": 0.1}}, ValueError, "nothing takes the hyperparameter 'lr'"),
        ({"hyperparameters": {"learning_rate": [0.1, 0.2]}}, ValueError, r"one number; got the shape \(2,\)"),
        ({"hyperparameters": {"learning_rate": -0.1}}, ValueError, r"learning_rate must be >= 0; got -0.1"),
        ({"loss": lambda p, t: jnp.mean(p)}, ValueError, r"must give one value an example, shape \(batch,\); got \(\)"),
        ({"loss": "mean_squared_error"}, ValueError, r"targets of data: .*\(1, 3\) and \(1,\)"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_before_anything_runs(change, error, message):
    given = {"model": MODEL, "loss": LOSS, "optimizer": "adam", "data": (X, Y), "key": 0, "epochs": 1} | change
    with pytest.raises(error, match=message):
        jd.fit(**given)


def test_names_work_wherever_an_entry_is_meant():
    run = jd.fit(MODEL, "Sparse Softmax Cross-Entropy", "Adam", (X, Y), key=0, epochs=1, metrics=["Accuracy"])
    assert run.result == "done"
    assert list(itertools.islice(run.history, 3)) == ["epoch", "loss", "accuracy"]
