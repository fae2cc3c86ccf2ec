"""Training: what a run computes, beside a run written out by hand; one's own loop; bad input."""

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
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, base, fit, same_bits


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


@pytest.mark.slow
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
