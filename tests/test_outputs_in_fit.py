"""Several outputs in training: a loss each, weights as data, metrics by output; against a hand-written loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import layers, losses, models
from jaxdict.intake import Fit, source
from jaxdict.train import outputs as outputs_room
from jaxdict.train.segment import program

RNG = np.random.default_rng(5)
COUNT = 41  # no multiple of the batch size
X = {"wide": RNG.normal(size=(COUNT, 3)).astype(np.float32), "deep": RNG.normal(size=(COUNT, 4)).astype(np.float32)}
Y = {
    "main": (X["deep"][:, 0] + X["wide"][:, 1] > 0).astype(np.int32) + (X["deep"][:, 1] > 0.5).astype(np.int32),
    "aux": X["deep"][:, 2] + 0.1 * RNG.normal(size=COUNT).astype(np.float32),
}
HELD = jax.tree.map(lambda a: a[:9], (X, Y))
LOSS = {"main": "sparse_softmax_cross_entropy", "aux": "mse"}
WEIGHTS = {"main": 0.9, "aux": 0.1}
METRICS = {"main": ["accuracy"], "aux": "mae"}
RATE = {"learning_rate": 0.02}
MODEL = models.graph(
    inputs=["wide", "deep"],
    nodes={
        "hidden": (models.mlp([4, 6], output="tanh"), "deep"),
        "both": (layers.concatenate(), ["wide", "hidden"]),
        "main": (layers.dense(3), "both"),
        "aux": (layers.dense(1), "hidden"),
    },
    outputs=["main", "aux"],
)
PLAN = {"batch_size": 16, "validation": HELD, "metrics": METRICS, "segment_epochs": 2}
fit = functools.partial(jd.fit, MODEL, LOSS, jd.optimizers.adam, (X, Y), key=3, hyperparameters=RATE, **PLAN)


@functools.cache
def base():
    return fit(epochs=4, loss_weights=WEIGHTS)


def start():
    """Parameters that nothing was compiled for."""
    shapes = jax.eval_shape(lambda: MODEL.init(jax.random.key(0), {"wide": (3,), "deep": (4,)})[0])
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), shapes)


def same_bits(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def columns(run):
    """The history without the times."""
    return {name: values for name, values in run.history.items() if not name.startswith(("seconds", "steps"))}


def by_hand(run):
    """The loss of each output and the scores, in float64 NumPy, of a run's raw outputs."""
    logits, column = (np.asarray(run.predict(X)[name], np.float64) for name in ("main", "aux"))
    shifted = logits - logits.max(-1, keepdims=True)
    right = np.take_along_axis(shifted, Y["main"][:, None], -1)[:, 0]
    main = np.log(np.exp(shifted).sum(-1)) - right
    return main, np.square(column[:, 0] - Y["aux"]), logits.argmax(-1) == Y["main"], np.abs(column[:, 0] - Y["aux"])


def test_every_loss_and_every_metric_is_a_column():
    run = base()
    own = ["loss", "loss_main", "loss_aux", "main_accuracy", "aux_mean_absolute_error"]
    held = [f"validation_{name}" for name in own]
    assert list(run.history) == ["epoch", *own, *held, "learning_rate", "seconds", "steps_per_second"]
    for prefix in ("", "validation_"):
        whole, main, aux = (run.history[f"{prefix}{name}"] for name in ("loss", "loss_main", "loss_aux"))
        np.testing.assert_allclose(whole, 0.9 * main + 0.1 * aux, rtol=1e-5)
    assert run.history["loss_main"][-1] < run.history["loss_main"][0]


def test_evaluation_equals_numpy():
    main, aux, right, wrong = by_hand(base())
    scores = base().evaluate((X, Y))
    assert scores["loss_main"] == pytest.approx(main.mean(), rel=1e-5)
    assert scores["loss_aux"] == pytest.approx(aux.mean(), rel=1e-5)
    assert scores["loss"] == pytest.approx(0.9 * main.mean() + 0.1 * aux.mean(), rel=1e-5)
    assert scores["main_accuracy"] == pytest.approx(right.mean(), rel=1e-6)
    assert scores["aux_mean_absolute_error"] == pytest.approx(wrong.mean(), rel=1e-5)
    assert next(iter(scores)) == "loss"


def test_other_weights_compile_nothing_and_lanes_are_those_runs_bit_for_bit():
    before = program(base().plan).segment._cache_size()
    other = fit(epochs=4, loss_weights={"main": 0.2, "aux": 1.0})
    assert program(other.plan) is program(base().plan)
    runs = jd.fit_lanes(
        MODEL, LOSS, jd.optimizers.adam, (X, Y), keys=[3, 3], epochs=4, hyperparameters=RATE, workers=1, width=1,
        loss_weights={"main": [0.9, 0.2], "aux": [0.1, 1.0]}, **PLAN,
    )  # fmt: skip
    assert program(base().plan).segment._cache_size() == before
    assert runs.compiles == 0
    for lane, run in zip(runs, (base(), other), strict=True):
        same_bits(lane.params, run.params)
        same_bits(columns(lane), columns(run))
    assert not np.array_equal(base().history["loss_main"], other.history["loss_main"])
    np.testing.assert_allclose(runs.table()["loss_weights.aux"], [0.1, 1.0], rtol=1e-6)
    assert runs.best("validation_loss_aux") is min(runs, key=lambda r: r.history["validation_loss_aux"].min())


def test_a_saved_run_predicts_and_evaluates_sample_weights_weighing_every_loss_alike(tmp_path):
    again = jd.load_run(base().save(tmp_path / "base.safetensors"))
    assert again.model is MODEL
    same_bits(again.predict(X), base().predict(X))
    main, aux, right, wrong = by_hand(base())
    weight = np.linspace(0, 2, COUNT)
    scores = again.evaluate((X, Y), sample_weight=weight)
    assert scores["loss_main"] == pytest.approx((weight * main).mean(), rel=1e-5)
    assert scores["loss_aux"] == pytest.approx((weight * aux).mean(), rel=1e-5)
    assert scores["loss"] == pytest.approx((weight * (0.9 * main + 0.1 * aux)).mean(), rel=1e-5)
    assert scores["main_accuracy"] == pytest.approx(right.mean(), rel=1e-6)  # metrics count examples
    assert scores["aux_mean_absolute_error"] == pytest.approx(wrong.mean(), rel=1e-5)


def test_a_saved_run_goes_on_with_the_same_bits_and_weights(tmp_path):
    path = fit(epochs=2, loss_weights=WEIGHTS).save(tmp_path / "run.safetensors")
    longer = fit(epochs=4, loss_weights=WEIGHTS, resume=path)
    same_bits(longer.params, base().params)
    same_bits(columns(longer), columns(base()))
    with pytest.raises(ValueError, match=r"hyperparameters was .*loss_weights.aux"):
        fit(epochs=4, loss_weights={"main": 0.9, "aux": 0.2}, resume=path)


def test_classes_are_those_of_the_outputs_that_have_them():
    raw = base().predict(X)
    assert {name: y.shape for name, y in raw.items()} == {"main": (COUNT, 3), "aux": (COUNT, 1)}
    classes = base().predict(X, output="classes")
    assert set(classes) == {"main"}
    np.testing.assert_array_equal(classes["main"], np.argmax(raw["main"], -1))


@pytest.mark.slow
def test_probabilities_are_those_of_the_outputs_that_have_them():
    sure = base().predict(X, output="probabilities")
    assert set(sure) == {"main"}
    np.testing.assert_allclose(sure["main"], jax.nn.softmax(base().predict(X)["main"]), rtol=1e-5)


def test_metrics_are_saved_where_their_columns_are_called_as_the_dictionary_calls_them():
    def mse(outputs, targets):
        return outputs["main"][:, 0]

    chosen = {"main": {"accuracy": "accuracy", "mae": "mse"}, "aux": {"mae": losses.mean_absolute_error}, "mse": mse}
    streams = outputs_room.streams_of(chosen, outputs=Y)
    assert list(streams) == ["main_accuracy", "main_mae", "aux_mae", "mse"]
    saved = outputs_room.saved_metrics(streams.items())
    assert saved == [["main", "accuracy"], ["aux", "mae"]]
    again = outputs_room.streams_of(outputs_room.loaded_metrics(saved), outputs=Y)
    assert list(again) == ["main_accuracy", "aux_mae"]
    assert again["main_accuracy"] == streams["main_accuracy"]


# ------------------------------------------------------------------------------------------- a hand-written loop


def objective(p):
    """The weighted loss of all examples."""
    hidden = jnp.tanh(X["deep"] @ p["hidden"]["dense_1"]["kernel"] + p["hidden"]["dense_1"]["bias"][None])
    logits = jnp.concatenate([X["wide"], hidden], -1) @ p["main"]["kernel"] + p["main"]["bias"][None]
    column = (hidden @ p["aux"]["kernel"] + p["aux"]["bias"][None])[:, 0]
    main = optax.softmax_cross_entropy_with_integer_labels(logits, Y["main"]).mean()
    return 0.9 * main + 0.1 * jnp.mean(jnp.square(column - Y["aux"]))


@pytest.mark.slow
def test_the_run_is_a_hand_written_optax_loop():
    """One batch an epoch, so that the order of the examples does not matter."""
    run = jd.fit(
        MODEL, LOSS, optax.sgd(0.3, momentum=0.5), (X, Y), key=0, epochs=5, batch_size=COUNT, params=start(),
        loss_weights=WEIGHTS,
    )  # fmt: skip

    optimizer = optax.sgd(0.3, momentum=0.5)

    @jax.jit
    def loop(params):
        def step(carry, _):
            params, memory = carry
            loss, grads = jax.value_and_grad(objective)(params)
            updates, memory = optimizer.update(grads, memory)
            return (optax.apply_updates(params, updates), memory), loss

        (params, _), seen = jax.lax.scan(step, (params, optimizer.init(params)), length=5)
        return params, seen

    params, seen = loop(start())
    np.testing.assert_allclose(run.history["loss"], seen, rtol=1e-6, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), run.params, params)


def test_a_step_of_several_losses_is_a_step_down_the_gradient_of_their_sum():
    params, optimizer = start(), optax.sgd(0.1)
    step = jd.train.make_step(MODEL, LOSS, optimizer, loss_weights=WEIGHTS, metrics={"main": "accuracy"})
    batch = (X, Y | {"aux": Y["aux"][:, None]})

    @jax.jit
    def both():
        train = jd.train.TrainState(params, {}, optimizer.init(params))
        return step(train, batch, jax.random.key(1)), jax.value_and_grad(objective)(params)

    (new, row), (loss, grads) = both()
    wanted = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), new.params, wanted)
    assert set(row) == {"loss", "loss_main", "loss_aux", "main_accuracy"}
    np.testing.assert_allclose(row["loss"], loss, rtol=1e-6)


# --------------------------------------------------------------------------------------- other ways in, slower


@pytest.mark.slow
def test_one_loss_of_all_outputs_keeps_working():
    def summed(outputs, targets):
        return losses.sparse_softmax_cross_entropy(outputs["main"], targets["main"])

    def spread(outputs, targets):
        return jnp.max(outputs["main"], -1) - jnp.min(outputs["main"], -1)

    targets = Y | {"aux": Y["aux"][:, None]}
    run = jd.fit(MODEL, summed, "adam", (X, targets), key=0, epochs=2, metrics={"spread": spread, "aux": ["mae"]})
    assert {"spread", "aux_mean_absolute_error", "loss"} <= set(run.history)
    assert "loss_main" not in run.history


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"accumulation": 4},
        {"precision": "bfloat16"},
        {"weight_normalization": "weights", "sample_weight": np.linspace(0.1, 2, COUNT)},
        {"validation": 0.25},
    ],
    ids=str,
)
def test_options_of_training_hold_for_several_outputs(options):
    run = fit(epochs=2, loss_weights=WEIGHTS, **options)
    for prefix in ("", "validation_"):
        whole, main, aux = (run.history[f"{prefix}{name}"] for name in ("loss", "loss_main", "loss_aux"))
        np.testing.assert_allclose(whole, 0.9 * main + 0.1 * aux, rtol=1e-5)
    if "accumulation" in options:
        plain = fit(epochs=2, loss_weights=WEIGHTS)
        np.testing.assert_allclose(run.history["loss_aux"], plain.history["loss_aux"], rtol=1e-4)


@pytest.mark.slow
def test_batches_from_outside_and_hyperparameters_of_the_losses():
    def batches():
        for start in range(0, 32, 16):
            yield jax.tree.map(lambda a: a[start : start + 16], (X, Y))  # noqa: B023  (used at once)

    run = jd.fit(
        MODEL, {"main": LOSS["main"], "aux": losses.huber}, "adam", batches, key=0, epochs=2, loss_weights=WEIGHTS,
        hyperparameters={"delta": 0.3},
    )  # fmt: skip
    assert np.all(np.isfinite(run.history["loss_aux"]))
    predictions = jnp.asarray(run.predict(X)["aux"])
    wanted = losses.huber(predictions, Y["aux"][:, None], delta=0.3).mean()
    assert run.evaluate((X, Y))["loss_aux"] == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.slow
def test_observers_watch_the_loss_of_one_output(tmp_path):
    stop = jd.observers.early_stopping(monitor="validation_loss_aux", patience=3)
    run = fit(epochs=60, loss_weights=WEIGHTS, observers=[stop])
    best = int(np.argmin(run.history["validation_loss_aux"]))
    assert run.best.epoch == best + 1
    assert run.best.value == pytest.approx(run.history["validation_loss_aux"][best])


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"loss": {"mian": "mse"}}, ValueError, r"a loss is given for 'mian', which is no output; did you mean 'main'"),
        ({"loss": {"main": "mes"}}, KeyError, r"no loss is called 'mes'"),
        ({"loss": {}}, ValueError, r"the dict of losses by output is empty"),
        ({"loss": {1: "mse"}}, TypeError, r"keyed by the outputs' names; got 1"),
        ({"loss": {"main": "mse", "aux": "mse"}}, ValueError, r"output 'main': .*same shape; got \(1, 3\) and \(1,\)"),
        ({"data": (X, Y["main"])}, ValueError, r"targets of data must be a dict by output, 'main', 'aux'; got ndarray"),
        ({"data": (X, {"main": Y["main"]})}, ValueError, r"hold none for the output 'aux'"),
        ({"data": (X, Y | {"auxx": Y["aux"]})}, ValueError, r"hold 'auxx', which is no output; did you mean 'aux'"),
        ({"data": (X, Y | {"main": Y["main"] + 1})}, ValueError, r"output 'main'.*labels must be in \[0, 3\)"),
        ({"validation": (X, {"aux": Y["aux"]})}, ValueError, r"targets of validation hold none for the output 'main'"),
        (
            {"loss_weights": {"mian": 1}},
            ValueError,
            r"loss_weights names 'mian', which has no loss; did you mean 'main'",
        ),
        ({"loss_weights": {"main": "high"}}, TypeError, r"loss_weights\['main'\] must be a number; got 'high'"),
        ({"loss_weights": 0.3}, TypeError, r"loss_weights must be a dict of numbers by output; got 0.3"),
        (
            {"loss_weights": WEIGHTS, "hyperparameters": {"loss_weights.aux": 1.0}},
            ValueError,
            r"the weight of 'aux' was given twice",
        ),
        ({"hyperparameters": {"loss_weights.axu": 1.0}}, ValueError, r"nothing takes the hyperparameter"),
        ({"metrics": "accuracy"}, ValueError, r"of several outputs, metrics are given by output: {'aux': 'accuracy'}"),
        (
            {"metrics": {"mian": ["accuracy"]}},
            ValueError,
            r"metrics are given for 'mian', no output; did you mean 'main'",
        ),
        ({"metrics": {"main": ["acuracy"]}}, KeyError, r"output 'main': no metric or loss is called 'acuracy'; did"),
        (
            {"metrics": {"main": {"x": "mae", "y": "mae"}, "main_x": len}},
            ValueError,
            r"two columns are called 'main_x'",
        ),
        ({"metrics": [jd.metrics.accuracy]}, ValueError, r"of several outputs, metrics are given by output: {'aux'"),
        ({"metrics": {"main": 3}}, TypeError, r"metrics are names or functions, .*; got 3"),
        ({"loss": "mse"}, ValueError, r"targets of data; of several outputs, give loss as a dict by output"),
        ({"loss": {"main": lambda p, y: p.sum()}}, ValueError, r"one value an example.*\(\) for data, output 'main'"),
        ({"class_weight": {0: 2.0}}, ValueError, r"class_weight is for one output; of several"),
    ],
)
def test_errors_say_which_output(changed, error, message):
    arguments = {"loss": LOSS, "optimizer": "adam", "data": (X, Y), "key": 0, "epochs": 1} | changed
    with pytest.raises(error, match=message):
        jd.fit(MODEL, **arguments)


def test_an_output_may_be_called_as_a_metric_is():
    known = {"accuracy": None, "main": None}
    with pytest.raises(ValueError, match=r"of several outputs, metrics are given by output: {'accuracy': 'accuracy'}"):
        outputs_room.streams_of(["accuracy"], outputs=known)
    assert list(outputs_room.streams_of({"accuracy": "accuracy"}, outputs=known)) == ["accuracy_accuracy"]


def test_weights_of_batches_are_one_an_example():
    for weights in (np.ones((COUNT, 1)), -np.ones(COUNT), np.full(COUNT, np.nan)):
        with pytest.raises(
            ValueError, match=r"the weights of batch 1 must be finite and >= 0, one an example, .* \(41"
        ):
            next(source([(X, Y, weights)]).chunks())
    step = jd.train.make_step(MODEL, LOSS, optax.sgd(0.1))
    batch = X, Y | {"aux": Y["aux"][:, None]}, np.ones((COUNT, 1))
    with pytest.raises(ValueError, match=r"sample weights must have the same shape; got \(41,\) and \(41, 1\)"):
        jax.eval_shape(step, jd.train.TrainState(start(), {}, ()), batch, jax.random.key(0))


def test_an_error_of_jax_in_a_loss_stays_what_it_is():
    with pytest.raises(jax.errors.TracerBoolConversionError):
        Fit(lambda p, y: p if p.sum() > 0 else y, jax.ShapeDtypeStruct((1, 1), "float32"))(Y["aux"], "data")


def test_errors_of_what_is_given_later():
    with pytest.raises(ValueError, match=r"loss_weights are for several losses: give loss as a dict by output"):
        jd.fit(models.mlp([3, 1]), "mse", "adam", (X["wide"], Y["aux"]), key=0, epochs=1, loss_weights={"main": 1})
    with pytest.raises(ValueError, match=r"a loss is given for the output 'main', but the model's output is no dict"):
        jd.fit(models.mlp([3, 1]), {"main": "mse"}, "adam", (X["wide"], {"main": Y["aux"]}), key=0, epochs=1)
    with pytest.raises(ValueError, match=r"inputs must be of examples of the shapes .*; got {'wide': \(3,\)}"):
        base().predict({"wide": X["wide"]})
    with pytest.raises(ValueError, match=r"hold none for the output 'main'"):
        base().evaluate((X, {"aux": Y["aux"]}))
    loss = jd.train.step.resolve_loss({"aux": "mse", "main": "mae"})
    with pytest.raises(
        ValueError, match=r"output 'aux': .*'mean_squared_error'.*; output 'main': .*needs a loss on log"
    ):
        jd.run._output_unit(loss, "classes")
