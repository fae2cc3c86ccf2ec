"""Runs and differentiates the expressions of entries, and compares them with the code in float64."""

import functools
import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import sympy

import beyond_gradients
from jaxdict import _expression
from jaxdict._entry import Entry

RTOL = 2e-12


def _lift(function, arity=1):
    ufunc = np.frompyfunc(function, arity, 1)
    return lambda *a: ufunc(*a) if any(isinstance(x, np.ndarray) for x in a) else function(*a)


def _cases(*branches):
    pieces = np.frompyfunc(
        lambda *flat: sympy.Piecewise(*zip(flat[::2], flat[1::2], strict=True)), 2 * len(branches), 1
    )
    return pieces(*(part for branch in branches for part in branch))


def sympy_vocabulary():
    """The expression language over sympy symbols, vectors being object arrays of them."""
    comparisons = {n: _lift(getattr(sympy, n), 2) for n in ("Lt", "Gt", "Eq", "Ne")}
    comparisons |= {"LtE": _lift(sympy.Le, 2), "GtE": _lift(sympy.Ge, 2), "NotEq": comparisons["Ne"]}
    return comparisons | {
        "exp": _lift(sympy.exp), "log": _lift(sympy.log), "sqrt": _lift(sympy.sqrt), "abs": _lift(sympy.Abs),
        "log1p": _lift(lambda x: sympy.log(1 + x)), "expm1": _lift(lambda x: sympy.exp(x) - 1),
        "sign": _lift(sympy.sign), "tanh": _lift(sympy.tanh), "sin": _lift(sympy.sin), "cos": _lift(sympy.cos),
        "erf": _lift(sympy.erf), "floor": _lift(sympy.floor), "pi": sympy.pi,
        "Phi": _lift(lambda x: (1 + sympy.erf(x / sympy.sqrt(2))) / 2),
        "phi": _lift(lambda x: sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)),
        "sigma": _lift(lambda x: 1 / (1 + sympy.exp(-x))),
        "max": lambda *a: _lift(sympy.Max, len(a))(*a), "min": lambda *a: _lift(sympy.Min, len(a))(*a),
        "cases": _cases, "and": _lift(sympy.And, 2), "or": _lift(sympy.Or, 2),
        "sum": lambda v: np.sum(v, axis=-1, keepdims=True),
        "mean": lambda v: np.sum(v, axis=-1, keepdims=True) / v.shape[-1],
        "norm": lambda v: np.array([sympy.sqrt(np.sum(v**2))], object),
        "largest": lambda v: np.array([sympy.Max(*v)], object),
        "take": lambda z, label: z[np.atleast_1d(label)],
        "first": lambda v: v[: len(v) // 2], "second": lambda v: v[len(v) // 2 :],
        "topsum": lambda v: np.array([sympy.Max(*map(sum, itertools.combinations(v, k + 1))) for k in range(len(v))]),
        "rank": lambda v: np.array([sympy.Integer(k + 1) for k in range(len(v))]),
        "onehot": lambda label, like: np.array([sympy.Integer(int(i == label)) for i in range(len(like))], object),
        "diag": np.diag, "outer": np.outer, "transpose": np.transpose,
        "ones": lambda a: np.array([sympy.Integer(1)] * len(a), object),
        "eye": lambda a: np.eye(len(a), dtype=int).astype(object),
    }  # fmt: skip


def symbols_of(entry: Entry) -> dict[str, str]:
    """Argument name -> symbol, for every argument of the function."""
    return {name: entry.symbols.get(name, name) for name in inspect.signature(entry.function).parameters}


def agree(got, wanted, what: str, *, rtol: float = RTOL, atol: float = 1e-14) -> None:
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(wanted, float), rtol=rtol, atol=atol, err_msg=what)


def differentiated(entry: Entry, values: dict, with_respect_to: str) -> np.ndarray:
    """d(expression)/d(symbol) by sympy at float ``values``: the gradient of a scalar, or the Jacobian of a vector."""
    at = values[with_respect_to]
    return derivative_of(entry, values, with_respect_to, np.shape(at))(at)


def derivative_of(entry: Entry, values: dict, with_respect_to: str, shape: tuple[int, ...]):
    """The same as a function of the symbol's value, of shape () or (n,), for the other ``values``."""
    vector = len(shape) == 1
    unknowns = np.array(sympy.symbols(f"u:{shape[0]}", real=True), object) if vector else sympy.Symbol("u", real=True)
    scope = {n: v for n, v in values.items() if n != with_respect_to} | {with_respect_to: unknowns}
    value = _expression.evaluate(entry.expression, scope, sympy_vocabulary())
    outputs = np.atleast_1d(np.asarray(value, object))
    inputs = np.atleast_1d(np.asarray(unknowns, object))
    symbolic = [[sympy.diff(o, i) for i in inputs] for o in outputs]

    def of(at):
        point = dict(zip(inputs, np.atleast_1d(at), strict=True))
        jacobian = np.array([[float(part.subs(point).evalf(30)) for part in row] for row in symbolic])
        if not vector:
            return jacobian[0, 0]
        return jacobian[0] if len(outputs) == 1 else jacobian

    return of


def check_activation(entry: Entry, **options) -> None:
    """Value and derivative of an activation: code, expression and sympy agree in float64."""
    names = symbols_of(entry)
    scope = {names[n]: v for n, v in ({**entry.defaults, **options}).items() if isinstance(v, (int, float))}
    (x_name, *_) = names
    rng = np.random.default_rng(3)
    if entry.vectors:
        x = rng.normal(0.3, 1.7, (5, 4))
    else:
        x = np.concatenate([rng.uniform(-12, 12, 60), rng.normal(0.2, 1.0, 40), [-0.5, 0.7, 3.3]])
    scope[names[x_name]] = x
    with jax.enable_x64(True):
        agree(entry.function(jnp.asarray(x), **options), _expression.evaluate(entry.expression, scope), "value")
        if not entry.derivative_expression:
            return
        slope = entry.derivative(jnp.asarray(x), **options)
    shown = _expression.evaluate(entry.derivative_expression, scope)
    agree(slope, np.broadcast_to(shown, slope.shape), "derivative of the code")
    points = x[:3] if entry.vectors else x[:12]
    by_sympy = derivative_of(entry, scope, names[x_name], points.shape[1:])
    for one in points:
        shown = _expression.evaluate(entry.derivative_expression, scope | {names[x_name]: one})
        agree(shown, by_sympy(one), "derivative of the equation", rtol=1e-9)


def check_loss(entry: Entry, first: np.ndarray, second: np.ndarray, **options) -> None:
    """Value and gradient of a loss: code, expression and sympy agree in float64."""
    names = symbols_of(entry)
    a, b, *_ = names
    scope = {names[n]: v for n, v in ({**entry.defaults, **options}).items() if isinstance(v, (int, float))}
    scope |= {names[a]: first, names[b]: second}
    with jax.enable_x64(True):
        value = entry.function(jnp.asarray(first), jnp.asarray(second), **options)
        slope = entry.derivative(jnp.asarray(first), jnp.asarray(second), **options)
    agree(value, np.squeeze(_expression.evaluate(entry.expression, scope), -1), "value")
    shown = _expression.evaluate(entry.derivative_expression, scope)
    agree(slope, np.broadcast_to(shown, slope.shape), "gradient of the code")
    for row in range(3):
        values = scope | {names[a]: first[row], names[b]: second[row]}
        shown = np.broadcast_to(_expression.evaluate(entry.derivative_expression, values), first[row].shape)
        agree(shown, differentiated(entry, values, names[a]), "gradient of the equation", rtol=1e-9)


def check_penalty(entry: Entry, **options) -> None:
    """Value and gradient of a penalty over a vector."""
    names = symbols_of(entry)
    theta = np.random.default_rng(5).normal(0.1, 1, 7)
    scope = {names[n]: v for n, v in options.items()} | {"theta": theta}
    with jax.enable_x64(True):
        value = entry.function(jnp.asarray(theta), **options)
        slope = entry.derivative(jnp.asarray(theta), **options)
    agree(value, np.squeeze(_expression.evaluate(entry.expression, scope)), "value")
    agree(slope, _expression.evaluate(entry.derivative_expression, scope), "gradient of the code")
    agree(slope, differentiated(entry, scope, "theta"), "gradient of the equation", rtol=1e-9)


def check_optimizer(entry: Entry, **options) -> None:
    """Twelve steps of the update rule as it is shown, in NumPy, against the transformation; gradients change sign."""
    import optax

    names = symbols_of(entry)
    given = {**entry.defaults, **options}
    scope = {names[n]: v for n, v in given.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    beyond = beyond_gradients.of(entry.name)
    rng = np.random.default_rng(8)
    fall = np.logspace(0, -3, 12).reshape(-1, *[1] * len(beyond.shape))
    gradients = rng.normal(0.2, 1.5, (12, *beyond.shape)) * fall
    theta = rng.normal(size=beyond.shape)
    read = _expression.names(entry.expression)
    held = "y" if "y" in read else "theta"  # what the caller holds; both begin at the same place
    variables = {n: np.zeros(beyond.shape) for n in read - set(scope) - {"theta", "y", "g", "t"}}
    vocabulary = beyond_gradients.vocabulary()
    with jax.enable_x64(True):
        params = jnp.asarray(theta)
        transformation = entry.function(**{**options, **beyond.options})
        state = transformation.init(params)
        update = functools.partial(transformation.update, **beyond.extra)
        update = jax.jit(update) if beyond.heavy else update
        for t, g in enumerate(gradients, 1):
            g = beyond.gradient(theta) if beyond.gradient else g
            slope = (lambda _, g=g: g) if "g(" in entry.expression else g  # taken elsewhere, where that is said
            given = scope | {"theta": theta, "y": theta} | variables | beyond.scope(theta, g) | {"g": slope, "t": t}
            variables = {**variables, **_expression.evaluate(entry.expression, given, vocabulary)}
            theta = variables[held] if held in variables else theta + variables["g"]  # a link of a chain: g alone
            updates, state = update(jnp.asarray(g), state, params)
            params = optax.apply_updates(params, updates)
            agree(params, theta, f"step {t}", rtol=1e-11)


def check_example_rule(entry: Entry, rate: float = 0.3) -> None:
    """Twelve examples through a rule that goes by examples and not by gradients, one unit: as it is shown."""
    rng = np.random.default_rng(8)
    shown = {"w": rng.normal(size=4), "b": np.array([0.3])}
    params = {"kernel": jnp.asarray(shown["w"][:, None], jnp.float32), "bias": jnp.asarray(shown["b"], jnp.float32)}
    for x, y in zip(rng.normal(0.2, 1.5, (12, 4)), rng.integers(0, 2, (12, 1)), strict=True):
        given = shown | {"x": x, "y": y, symbols_of(entry)["learning_rate"]: rate}
        shown = shown | _expression.evaluate(entry.expression, given)
        params = entry.function(params, x, y, learning_rate=rate)
        agree(params["kernel"][:, 0], shown["w"], "weights", rtol=1e-5, atol=1e-6)
        agree(params["bias"], shown["b"], "bias", rtol=1e-5, atol=1e-6)
