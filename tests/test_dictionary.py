"""Every entry: what it shows is what it computes. Coverage comes from the dictionary, nothing is listed by hand."""

import dataclasses
import functools
import inspect
import json
import re
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import augmentations
import expressions
import jaxdict as jd
import layer_equations
from jaxdict import _expression, _registry
from jaxdict._entry import entry as register

ENTRIES = jd.entries()
by_kind = {kind: [e for e in ENTRIES if e.kind == kind] for kind in _registry.KINDS}


def ids(entries):
    return [f"{e.kind}-{e.name}" for e in entries]


def each(kind):
    return pytest.mark.parametrize("entry", by_kind[kind], ids=ids(by_kind[kind]))


# ------------------------------------------------------------------------------------- the mathematics, executed

# Values of parameters away from their defaults, by argument name: a parameter without one fails the test.
OTHER = {"alpha": 0.7, "negative_slope": 0.23, "beta": 1.6, "delta": 0.6, "strength": 0.3, "momentum": 0.83,
         "learning_rate": 0.07, "b1": 0.8, "b2": 0.97, "eps": 1e-3, "minimum": -0.8, "maximum": 1.9, "lower": 0.2,
         "upper": 0.45, "threshold": 0.9, "b": 2.3, "gamma": 1.3, "variance": 1.7,
         "weight_decay": 0.04, "damping": 0.3, "decay": 0.8, "rho": 0.85, "eps_root": 2e-3,
         "momentum_decay": 0.3}  # fmt: skip


def others(entry):
    parameters = list(inspect.signature(entry.function).parameters.values())[1:]
    symbols = expressions.symbols_of(entry)
    used = _expression.names(entry.expression) | _expression.names(entry.derivative_expression or "0")
    return {p.name: OTHER[p.name] for p in parameters if symbols[p.name] in used and p.name in OTHER}


@each("activation")
def test_activation(entry):
    given = others(entry)
    expressions.check_activation(entry, **{n: v for n, v in given.items() if n not in entry.defaults})
    if given:
        expressions.check_activation(entry, **given)


def loss_data(entry):
    rng = np.random.default_rng(11)
    names = list(inspect.signature(entry.function).parameters)[:2]
    first = rng.normal(0.4, 1.4, (6, 4))
    if entry.function.__module__.endswith("probabilities"):
        first = rng.dirichlet(np.ones(4), 6)
    if names[1] == "labels":
        return first, rng.integers(0, 4, 6)
    if "zero_one" in inspect.signature(entry.function).parameters:
        return first, rng.choice([-1.0, 1.0], (6, 4))
    if first.min() > 0:
        return first, rng.dirichlet(np.ones(4), 6)
    if names[0] == "logits":
        return first, rng.dirichlet(np.ones(4), 6) if entry.name.startswith("softmax") else rng.uniform(0, 1, (6, 4))
    return first, rng.normal(-0.2, 1.1, (6, 4))


@each("loss")
def test_loss(entry):
    options = {k: v for k, v in others(entry).items() if k not in ("targets", "labels")}
    expressions.check_loss(entry, *loss_data(entry))
    if options:
        expressions.check_loss(entry, *loss_data(entry), **options)


@each("penalty")
def test_penalty(entry):
    expressions.check_penalty(entry, **others(entry))


@each("optimizer")
def test_optimizer(entry):
    if "params" in expressions.symbols_of(entry):
        expressions.check_example_rule(entry)
        return
    given = {"learning_rate": 0.02, "max_value": 0.4, "max_norm": 0.9, "strength": 0.1}
    required = {name: value for name, value in given.items() if name in expressions.symbols_of(entry)}
    expressions.check_optimizer(entry, **required)
    expressions.check_optimizer(entry, **{**required, **others(entry)})


@each("schedule")
def test_schedule(entry):
    parts = {"f": jd.schedules.constant(0.4), "g": jd.schedules.inverse_time(0.2, 3, 0.9)}
    given = {"value": 0.4, "init_value": 0.3, "final_value": 0.02, "decay_steps": 7, "decay_rate": 0.6, "step_size": 4,
             "cycle_steps": 5, "total_steps": 11, "peak_value": 0.5, "min_value": 0.1, "max_value": 0.6,
             "warmup_steps": 4, "boundaries": (2, 6), "values": (0.3, 0.2, 0.05), "schedule": parts["g"],
             "schedules": tuple(parts.values())}  # fmt: skip
    names = expressions.symbols_of(entry)
    options = {n: given[n] for n in names if n in given}
    if entry.name == "join":
        options["boundaries"] = (6,)
    schedule = entry.function(**options)
    scope = parts | {names[n]: v for n, v in {**entry.defaults, **options}.items() if v is not None}
    scope = {n: np.asarray(v) if isinstance(v, tuple) and n != "schedules" else v for n, v in scope.items()}
    vocabulary = _expression.numpy_vocabulary(None) | {"take": lambda values, at: values[int(np.ravel(at)[0])]}
    for t in (0, 1, 3, 7, 20):
        shown = np.ravel(_expression.evaluate(entry.expression, scope | {"t": t}, vocabulary))[0]
        expressions.agree(schedule(t), shown, f"step {t}", rtol=2e-6)
        expressions.agree(jax.jit(schedule)(t), shown, f"step {t}, traced", rtol=2e-6)


def metric_data(entry):
    """Predictions and targets as the equation has them: scores and labels where it speaks of classes."""
    rng = np.random.default_rng(4)
    if re.search(r"argmax|\[y\]", entry.expression):
        return rng.normal(size=(31, 7)), rng.integers(0, 7, 31)
    if "indicator" in entry.expression:  # yes or no; predictions with ties
        return np.round(rng.normal(0.7, 1, 31), 1), rng.integers(0, 2, 31)
    targets = rng.normal(1.3, 2.0, 31)
    return targets + rng.normal(0.2, 0.7, 31), targets


@each("metric")
def test_metric(entry):
    predictions, targets = metric_data(entry)
    # Means are over examples. Sums too, but for those over classes and those of one matrix an example.
    over = {"top_k_accuracy": {"axis": -1, "keepdims": True}, "confusion_matrix": {"axis": 0}}.get(entry.name, {})
    vocabulary = _expression.numpy_vocabulary() | {"mean": np.mean, "sum": functools.partial(np.sum, **over)}
    scope = {"yhat": predictions, "y": targets} | {n: v for n, v in entry.defaults.items() if type(v) in (int, float)}
    shown = _expression.evaluate(entry.expression, scope, vocabulary)
    got = entry.function(predictions.astype(np.float32), targets)
    expressions.agree(got, shown, entry.name, rtol=1e-5)


@each("distribution")
def test_distribution(entry):
    """The density that is shown integrates to 1, and samples have its quantiles."""
    symbols = expressions.symbols_of(entry)
    options = {n: v for n, v in (("scale", 0.7), ("mean", 0.3), ("stddev", 1.7)) if n in symbols}
    scope = {symbols[n]: v for n, v in options.items()}
    grid = np.linspace(-14, 14, 200_001)
    density = _expression.evaluate(entry.expression, scope | {"x": grid})
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    np.testing.assert_allclose(cumulative[-1], 1, atol=2e-4)
    draws = np.sort(np.asarray(entry.function(7, (100_000,), **options), float))
    for probability in (0.05, 0.3, 0.5, 0.9):
        wanted = grid[np.searchsorted(cumulative, probability)]
        here = density[np.searchsorted(grid, wanted)]
        error = 4 * np.sqrt(probability * (1 - probability) / 100_000) / here
        assert abs(draws[int(probability * 100_000)] - wanted) < error + 2e-4


@each("initializer")
def test_initializer(entry):
    """Draws have the deviation (or the bound r) that is shown; or they are, or satisfy, what is shown."""
    names = expressions.symbols_of(entry)
    given = {"value": 0.37, "scale": 1.7, "branches": 9, "stddev": 1.3, "connections": 7}
    options = {n: v for n, v in given.items() if n in names}
    if entry.name == "random":
        options = {"distribution": "truncated_normal", "stddev": 0.6}
    shape = (3, 20, 30) if entry.name == "delta_orthogonal" else (300, 200)
    *_, n_in, n_out = shape
    draws = np.asarray(entry.function(**options)(3, shape, jnp.float32), float)
    numbers = {**entry.defaults, **options}.items()
    scope = {"n_in": n_in, "n_out": n_out, "W": draws, "c": 1, "i": np.arange(n_in)[:, None], "j": np.arange(n_out)}
    scope |= {"key": 3, "G": lambda key: np.asarray(jd.distributions.truncated_normal(key, shape, stddev=0.6))}
    scope |= {names[n]: v for n, v in numbers if n in names and type(v) in (int, float)}
    close = {"Eq": lambda a, b: np.isclose(a, b, rtol=0, atol=2e-5), "take": lambda array, place: array[place]}
    shown = _expression.evaluate(entry.expression, scope, _expression.numpy_vocabulary() | close)
    if isinstance(shown, dict):
        ((name, value),) = shown.items()
        std = value if name == "std" else value / np.sqrt(3)
        squares = draws**2
        assert abs(squares.mean() - std**2) <= 4 * squares.std() / np.sqrt(draws.size) + 1e-6 * std**2
        assert abs(draws.mean()) < 4 * std / np.sqrt(draws.size)
        if name == "r":
            assert value * 0.999 < np.abs(draws).max() <= value * (1 + 1e-6)
    elif np.asarray(shown).dtype == bool:
        assert np.all(shown)
    else:
        expressions.agree(draws, np.broadcast_to(shown, shape), entry.name, rtol=1e-7)


@each("noise")
def test_noise(entry):
    """The equation with the mask that the function drew, b, or the standard normal draws of its key, n."""
    x = np.random.default_rng(0).normal(2, 1, (40, 5))
    draw = functools.partial(entry.function, 3)
    with jax.enable_x64(True):
        y = draw(jnp.asarray(x), 0.3)
        kept = np.asarray(draw(jnp.ones(x.shape), 0.3) != draw(jnp.zeros(x.shape), 0.3), float)
        normal = np.asarray(jax.random.normal(jax.random.key(3), x.shape, float))
    scope = {"x": x, list(expressions.symbols_of(entry).values())[2]: 0.3, "b": kept, "n": normal}
    assert 0 < kept.mean() < 1 or "b" not in _expression.names(entry.expression)
    expressions.agree(y, _expression.evaluate(entry.expression, scope), entry.name)


# What the equation's mean and variance are taken over: -1 the features of an example, 0 the examples of a feature.
STATISTICS_AXIS = {"batch_norm": 0, "batch_renorm": 0, "layer_norm": -1, "rms_norm": -1, "group_norm": -1}


@each("normalization")
def test_normalization(entry):
    x = np.random.default_rng(0).normal(2, 3, (40, 6))
    options = {"scale": np.linspace(0.5, 2, 6), "offset": np.linspace(-1, 1, 6), "eps": 1e-2}
    if entry.name == "batch_renorm":  # some features are clipped and some are not
        options |= {"mean": np.linspace(-1, 5, 6), "variance": np.linspace(0.5, 40, 6), "r_max": 1.6, "d_max": 0.4}
    groups = {"groups": 3} if entry.name == "group_norm" else {}
    with jax.enable_x64(True):
        y = entry.function(jnp.asarray(x), **groups, **options)

    def grouped(array):
        return array.reshape(*array.shape[:-1], 3, -1) if groups and np.ndim(array) else array

    scope = {expressions.symbols_of(entry)[name]: grouped(value) for name, value in {"x": x, **options}.items()}
    vocabulary = _expression.numpy_vocabulary(axis=STATISTICS_AXIS[entry.name])
    shown = _expression.evaluate(entry.expression, scope, vocabulary)
    expressions.agree(y, shown.reshape(x.shape), entry.name)


@each("augmentation")
def test_augmentation(entry):
    augmentations.check(entry)


@each("observer")
def test_observer(entry):
    values = [3.0, 2.5, 2.45, 2.9, 2.44, 2.0, 2.1]
    options = {
        "early_stopping": {"min_delta": 0.1, "patience": 3}, "plateau": {"patience": 2, "rtol": 0.1, "cooldown": 1},
    }.get(entry.name, {})  # fmt: skip
    observer = entry.function(monitor="m", **options)
    snapshot = jd.train.observers.Snapshot({"w": jnp.zeros(2)}, {}, jnp.int32(0), {"m": jnp.float32(0)})
    memory = observer.init(snapshot)
    names = expressions.symbols_of(entry)
    numbers = {names[n]: v for n, v in {**entry.defaults, **options}.items() if isinstance(v, (int, float))}
    shown = {"best": np.inf, "wait": 0, "s": 1.0, "c": 0}
    for epoch, value in enumerate(values, 1):
        memory, stop = observer.update(memory, snapshot._replace(epoch=jnp.int32(epoch), row={"m": jnp.float32(value)}))
        shown |= _expression.evaluate(entry.expression, numbers | shown | {"m": value})
        if entry.name == "plateau":
            expressions.agree(memory, [shown[n] for n in ("s", "best", "wait", "c")], f"epoch {epoch}", rtol=1e-6)
            continue
        assert float(memory.value) == np.float32(shown["best"])
        if options:
            assert int(memory.wait) == shown["wait"]
            assert bool(stop) == (shown["wait"] >= options["patience"])
    assert entry.name != "plateau" or shown["s"] < 1


@each("layer")
def test_layer(entry):
    layer_equations.check(entry)


@each("model")
def test_model(entry):
    """A model's equation over its own parameters, in training where that is what it describes."""
    x = np.random.default_rng(1).normal(0.5, 1.5, (9, 6)).astype(np.float32)
    f, g = jd.layers.activation("tanh"), jd.layers.activation("sigmoid")
    arguments = {"mlp": ([6, 5, 3],), "autoencoder": ([6, 3],), "serial": (f, g), "residual": (f,)}
    nodes = {"f": (f, "x"), "g": (g, "f"), "sum": (jd.layers.add(), ["g", "x"])}
    options = {"graph": {"inputs": "x", "nodes": nodes, "outputs": "sum"}}
    options |= {name: {"activation": "tanh"} for name in ("mlp", "autoencoder")}
    model = entry.function(*arguments.get(entry.name, ()), **options.get(entry.name, {}))
    params, state, shape = model.init(jax.random.key(2), (6,))
    params = jax.tree.map(lambda p: p + 0.1, params)
    y, _ = model.apply(params, state, jnp.asarray(x), key=jax.random.key(3), train=True)
    assert y.shape == (9, *shape)
    scope = {"x": x, "f": np.tanh, "g": lambda v: 1 / (1 + np.exp(-v))}
    parts = [params["encoder"], params["decoder"]] if "encoder" in params else [params]
    for number, layer in enumerate((layer for part in parts for layer in part.values()), 1):
        scope |= {f"W{number}": np.asarray(layer["kernel"], float), f"b{number}": np.asarray(layer["bias"], float)}
    shown = _expression.evaluate(entry.expression, scope)
    expressions.agree(y, shown, entry.name, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kinks], ids=ids([e for e in ENTRIES if e.kinks]))
def test_kinks(entry):
    """At each kink the value and derivative are the stated ones, in float32 and float64, forward and reverse."""
    for at, (value, slope) in entry.kinks.items():
        for x64 in (False, True):
            with jax.enable_x64(x64):
                point = jnp.asarray([at], float)
                if entry.kind == "activation":
                    call = entry.function
                elif entry.kind == "penalty":
                    names = set(inspect.signature(entry.function).parameters)
                    options = {n: v for n, v in {"strength": 1.0, "alpha": 0.5}.items() if n in names}
                    call = functools.partial(lambda o, t: entry.function(t, **o)[None], options)
                else:
                    targets = jnp.ones_like(point) if "hinge" in entry.name else jnp.zeros_like(point)
                    call = functools.partial(lambda t, p: entry.function(p, t), targets)
                expressions.agree(jnp.ravel(call(point)), [value], "value", rtol=1e-6)
                reverse = jax.vjp(call, point)[1](jnp.ones_like(call(point)))[0]
                forward = jnp.sum(jax.jvp(call, (point,), (jnp.ones_like(point),))[1])
                expressions.agree(reverse, [slope], "reverse mode", rtol=1e-6)
                expressions.agree(forward, slope, "forward mode", rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("activation", "relu", {"expression": "max(0.01*x, x)"}),
        ("activation", "relu", {"derivative_expression": "cases((1, x > 0), (0.1, True))"}),
        ("loss", "l2", {"expression": "sum((yhat - y)**2)"}),
        ("loss", "l2", {"derivative_expression": "2*(yhat - y)"}),
        ("loss", "huber", {"derivative_expression": "yhat - y"}),
        ("penalty", "l2", {"derivative_expression": "lambda_*theta"}),
        ("optimizer", "momentum", {"expression": "v = mu*v - g; theta = theta + eta*v*1.001"}),
        ("optimizer", "adam", {"expression": "theta = theta - eta*g"}),
        ("optimizer", "clip_by_norm", {"expression": "g = max(-c, min(g, c))"}),
        ("optimizer", "weight_decay", {"expression": "g = g + 2*lambda_*theta"}),
        ("metric", "precision", {"expression": "sum(y*indicator(yhat > 0))/sum(y)"}),
        ("metric", "auc", {"expression": "sum(outer(y, 1 - y)*(outer(yhat, y) > 0))/(sum(y)*sum(1 - y))"}),
        ("augmentation", "flip", {"expression": "f(i, b*(w - j) + (1 - b)*j)"}),
        ("augmentation", "zoom", {"expression": "f(i/z, j/z)"}),
        ("augmentation", "mixup", {"expression": "x = lambda_*x1 + (1 - lambda_)*x2; y = y1"}),
    ],
)
def test_planted_errors_are_caught(kind, name, change):
    wrong = dataclasses.replace(jd.lookup(name, kind=kind), **change)
    with pytest.raises(AssertionError):
        globals()[f"test_{kind}"](wrong)


def test_a_wrong_derivative_in_the_code_is_caught():
    from jaxdict._derivative import closed_form

    def rule(x):
        return x**3, (2 * x**2,)

    @closed_form(rule)
    def cube(x):
        return x**3

    entry = dataclasses.replace(jd.lookup("relu"), function=cube, expression="x**3", derivative_expression="3*x**2")
    with pytest.raises(AssertionError, match="derivative of the code"):
        expressions.check_activation(entry)


# ------------------------------------------------------------------------------------------- what is written down


@pytest.mark.parametrize("entry", ENTRIES, ids=ids(ENTRIES))
def test_written_form(entry):
    for tex in filter(None, (entry.equation, entry.derivative_equation)):
        assert tex.count("{") == tex.count("}")
        assert len(re.findall(r"\\left(?![a-z])", tex)) == len(re.findall(r"\\right(?![a-z])", tex))
        assert tex.count(r"\begin") == tex.count(r"\end")
        assert "*" not in tex
    assert entry.sources
    assert all([*entry.sources, *entry.errata, *entry.conventions.values()])
    assert entry.summary.endswith(".")
    assert entry.location.rpartition(":")[2].isdigit()
    for name in entry.see_also:
        assert jd.lookup(name)
    json.dumps(entry.to_dict())


def test_latex_is_drawn():
    """A typesetter accepts every equation (matplotlib's, which has no cases: their rows one by one)."""
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for entry in ENTRIES:
        for tex in filter(None, (entry.equation, entry.derivative_equation)):
            plain = (
                tex.replace(r"\begin{cases}", r"\{").replace(r"\end{cases}", "").replace(r"\operatorname", r"\mathrm")
            )
            plain = plain.replace(r"\\", ";").replace("&", " ").replace(r"\text", r"\mathrm").replace(r"\top", "T")
            parser.parse(f"${plain}$")


def test_lookup_forgives_case_hyphens_and_spaces():
    for name in ("Mean Squared Error", "mean-squared-error", "MSE", "mse"):
        assert jd.lookup(name).name == "mean_squared_error"
    assert jd.lookup("Kaiming").name == "he"
    assert {"he_normal", "he_uniform"} <= set(jd.lookup("Kaiming").see_also)


def test_a_shared_name_means_the_first_kind():
    assert jd.lookup("l1").kind == "loss"
    assert jd.lookup("l1", kind="penalty").kind == "penalty"
    assert "penalty l1" in jd.lookup("l1").see_also
    assert jd.lookup("penalty l1") is jd.lookup("l1", kind="penalty")


def test_unknown_names_suggest():
    with pytest.raises(KeyError, match=r"no entry is called 'rleu'; did you mean 'relu'"):
        jd.lookup("rleu")
    with pytest.raises(KeyError, match=r"no optimizer is called 'adm'; did you mean 'adam'"):
        jd.lookup("adm", kind="optimizer")
    with pytest.raises(ValueError, match=r"kind must be one of .*; got 'optimiser'; did you mean 'optimizer'"):
        jd.lookup("adam", kind="optimiser")
    with pytest.raises(TypeError, match="a name must be a string; got 3"):
        jd.lookup(3)


def test_every_name_and_alias_is_found():
    for entry in ENTRIES:
        for name in (entry.name, *entry.aliases):
            assert jd.lookup(name.upper().replace("_", "-"), kind=entry.kind) is entry


def test_search_finds_by_name_alias_typo_and_prose():
    assert jd.search("adam")[0].name == "adam"
    assert jd.search("glorot")[0].name.startswith("xavier")
    assert any(e.name == "momentum" for e in jd.search("heavy bal"))
    assert jd.search("dropout")[0].name == "dropout"
    assert any(e.name == "adam" for e in jd.search("Kingma"))
    assert jd.search("zzzzqqq") == []


def test_entries_of_one_kind():
    assert {e.name for e in jd.entries(kind="schedule")} >= {"constant", "exponential", "cosine_annealing"}
    with pytest.raises(ValueError, match="kind must be one of"):
        jd.entries(kind="shedule")


def test_json_round_trips():
    rows = json.loads(jd.dictionary.to_json())
    assert len(rows) == len(ENTRIES)
    assert rows[0]["equation"] == ENTRIES[0].equation


# ------------------------------------------------------------------------------------------------ the decorator


def test_the_decorator_gives_the_function_back_and_works_on_jitted_and_custom_derivative_functions():
    kept = {k: dict(v) for k, v in _registry._entries.items()}, {k: dict(v) for k, v in _registry._names.items()}
    try:

        @jax.jit
        def doubled_for_test(x):
            """Twice its argument."""
            return 2 * x

        def custom_for_test(x):
            """Its argument, with a derivative of its own."""
            return x

        custom = jax.custom_jvp(custom_for_test)
        custom.defjvp(lambda p, t: (p[0], 3 * t[0]))
        for function in (doubled_for_test, custom):
            same = register("activation", equation="2*x", sources=("here",))(function)
            assert same is function
        found = _registry.find("doubled_for_test")
        assert found.summary == "Twice its argument."
        assert found.location.partition(":")[0].endswith("test_dictionary.py")
        with pytest.raises(ValueError, match="the name 'rectifier' is taken by 'relu'"):

            @register("activation", equation="x", aliases=("rectifier",), sources=("here",))
            def another_for_test(x):
                return x

        with pytest.raises(ValueError, match="not an expression"):
            register("activation", equation="x +", sources=("here",))(custom_for_test)
        with pytest.raises(ValueError, match="not part of the expression language"):
            register("activation", equation="[x for x in y]", sources=("here",))(custom_for_test)
        with pytest.raises(ValueError, match="kind must be one of"):
            register("activtion", equation="x", sources=("here",))(custom_for_test)
    finally:
        for kind in _registry.KINDS:
            _registry._entries[kind], _registry._names[kind] = kept[0][kind], kept[1][kind]


def test_entries_keep_help_and_signature_plain():
    for entry in ENTRIES:
        if entry.kind == "term":  # words alone
            continue
        assert inspect.isfunction(entry.function), entry
        assert "Returns:" in entry.function.__doc__
        inspect.signature(entry.function)


def test_expression_language_rejects_what_it_does_not_know():
    with pytest.raises(KeyError, match="'y' has no value"):
        _expression.evaluate("x + y", {"x": 1})
    with pytest.raises(KeyError, match="'sinh' is not a function"):
        _expression.evaluate("sinh(x)", {"x": 1})
    with pytest.raises(ValueError, match="may not be empty"):
        _expression.parse("")
    assert isinstance(jd.lookup("relu").kinks, types.MappingProxyType)
