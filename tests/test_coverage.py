"""Coverage, derived from the dictionary: what every entry must say and which tests it must go through."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jaxdict as jd
import test_dictionary
from jaxdict import _registry

ENTRIES = jd.entries()
FLOATS = ("bfloat16", "float16", "float32", "float64")

# kind -> what an entry of it must say. What is not listed may be empty.
FIELDS = {
    "activation": "equation derivative_equation conventions see_also",
    "loss": "equation derivative_equation conventions see_also",
    "metric": "equation conventions see_also",
    "distribution": "equation conventions see_also",
    "initializer": "equation conventions see_also",
    "penalty": "equation derivative_equation conventions see_also",
    "noise": "equation conventions see_also",
    "normalization": "equation conventions see_also",
    "augmentation": "conventions see_also",
    "optimizer": "equation conventions see_also",
    "schedule": "equation conventions see_also",
    "observer": "equation",
    "layer": "equation",
    "model": "equation",
    "term": "definition see_also",
}


def ids(entry):
    return f"{entry.kind}-{entry.name}"


def of(*kinds):
    return pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind in kinds], ids=ids)


# ------------------------------------------------------------------------------------------------- what is said


def test_every_kind_has_its_fields():
    assert set(FIELDS) == set(_registry.KINDS)


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_no_field_is_empty_that_its_kind_has(entry):
    fields = ["name", "summary", "sources", "location", *FIELDS[entry.kind].split()]
    if "second(" in entry.expression:
        fields.remove("derivative_equation")  # what halves its input has no slope of the input's shape
    for field in fields:
        assert getattr(entry, field), f"{entry.kind} {entry.name} has no {field}"


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_sources_can_be_found(entry):
    """A section of a source, a framework's own, or a paper: year, and a DOI, an arXiv number or where it appeared."""
    for source in entry.sources:
        known = re.match(r"S[0-4]\b|(PyTorch|Keras|JAX|optax|scikit-learn), ", source)
        assert known or re.search(r"\b(1[89]|20)\d\d[a-z]?, \S", source), source


def test_one_paper_is_cited_in_one_way():
    """The same number is always that of the same year and first author."""
    cited = {}
    for entry in ENTRIES:
        for source in entry.sources:
            for number in re.findall(r"(?:doi:|arXiv:)\S+?(?=[,;]?(?:\s|$))", source):
                author, year = re.match(r"(\w+)", source)[1], re.search(r"\b(1[89]|20)\d\d\b", source)[0]
                assert cited.setdefault(number, (author, year)) == (author, year), f"{number}: {entry.name}"


def scalar(entry):
    """Whether it is elementwise and has every default, for which its kinks are stated."""
    if entry.kind != "activation" or entry.vectors:
        return False
    return all(p.default is not p.empty for p in list(inspect.signature(entry.function).parameters.values())[1:])


@pytest.mark.parametrize("entry", [e for e in ENTRIES if scalar(e)], ids=ids)
def test_every_jump_of_a_derivative_is_a_stated_kink(entry):
    """Looked for at every sixteenth from −8 to 8: left and right of a point that is no kink, the slopes are equal."""
    x = np.arange(-128, 129) / 16
    with jax.enable_x64(True):
        near = jnp.asarray(np.stack([x - 1e-9, x + 1e-9]).ravel())
        left, right = np.asarray(entry.derivative(near)).reshape(2, -1)
    jumps = x[np.abs(left - right) > 1e-6]
    assert set(jumps) <= set(entry.kinks)


# --------------------------------------------------------------------------------------------- what is gone through


def exercised():
    """Entry -> the generic tests that are run on it."""
    found = {}
    for module in (test_dictionary, inspect.getmodule(exercised)):
        for name, test in vars(module).items():
            for mark in getattr(test, "pytestmark", ()):
                if name.startswith("test_") and mark.name == "parametrize" and mark.args[0] == "entry":
                    for entry in mark.args[1]:
                        found.setdefault((entry.kind, entry.name), set()).add(name)
    return found


def test_every_entry_goes_through_the_generic_tests():
    tests = exercised()
    for entry in ENTRIES:
        gone = tests[entry.kind, entry.name]
        assert {"test_written_form", "test_no_field_is_empty_that_its_kind_has"} <= gone
        if entry.kind == "term":
            continue
        assert gone & {f"test_{entry.kind}", "test_layer"}, f"no test runs the mathematics of {entry!r}"
        if entry.kind in ("activation", "loss"):
            assert {"test_types", "test_jit_and_vmap", "test_extremes"} <= gone
        if entry.kinks:
            assert "test_kinks" in gone


# ------------------------------------------------------------------------- types, jit, vmap, extremes of formulas

GIVEN = {"alpha": 0.3, "minimum": -1.0, "maximum": 2.0, "beta": 1.5, "gamma": 2.0, "delta": 1.0}


def arguments(entry):
    """Data for the positional arguments, and values for the options without a default."""
    parameters = list(inspect.signature(entry.function).parameters.values())
    if entry.kind == "activation":
        data, options = (np.random.default_rng(2).normal(0.2, 2.0, (6, 4)),), parameters[1:]
        if "minimum" in [p.name for p in options]:
            return data, {"minimum": -1.0, "maximum": 2.0, "alpha": 1.5}
    else:
        data, options = test_dictionary.loss_data(entry), parameters[2:]
    return data, {p.name: GIVEN[p.name] for p in options if p.default is p.empty and p.kind is not p.VAR_KEYWORD}


def cast(data, dtype):
    """Floats in ``dtype``; labels stay integers."""
    return tuple(jnp.asarray(a, dtype if np.issubdtype(a.dtype, np.floating) else None) for a in data)


@of("activation", "loss")
def test_types(entry):
    """An activation keeps the type, a loss is at least float32; gradients have the type of what they are by."""
    data, options = arguments(entry)

    def value(*args):
        return entry.function(*args, **options)

    with jax.enable_x64(True):
        for dtype in FLOATS:
            x = cast(data, dtype)
            wanted = dtype if entry.kind == "activation" or dtype == "float64" else "float32"
            assert jax.eval_shape(value, *x).dtype == wanted
            gradient = jax.eval_shape(jax.grad(lambda *args: value(*args).sum().astype(jnp.float32)), *x)
            assert (gradient.dtype, gradient.shape) == (dtype, x[0].shape)
            with jax.numpy_dtype_promotion("strict"):
                assert jax.eval_shape(value, *x).dtype == wanted
    whole = jax.eval_shape(value, jnp.ones(data[0].shape, int), *cast(data[1:], "float32")).dtype
    assert whole == jnp.float32
    with pytest.raises(TypeError, match="must be real"):
        value(jnp.ones(data[0].shape, complex), *cast(data[1:], "float32"))


def with_gradient(entry, options):
    """(value, gradient by the first argument), the value's elements summed."""

    def both(*args):
        value, pull = jax.vjp(lambda first: entry.function(first, *args[1:], **options), args[0])
        return value, pull(jnp.ones_like(value))[0]

    return both


@of("activation", "loss")
def test_jit_and_vmap(entry):
    """Compiled alone, with its gradient, and mapped over examples: the same numbers to rounding."""
    data, options = arguments(entry)
    both = with_gradient(entry, options)
    x = cast(data, "float32")
    (value, slope), (mapped, mapped_slope) = jax.jit(both)(*x), jax.jit(jax.vmap(both))(*x)
    near = {"rtol": 3e-6, "atol": 3e-6}
    np.testing.assert_allclose(value, entry.function(*x, **options), **near)
    np.testing.assert_allclose(mapped, value, **near)
    np.testing.assert_allclose(mapped_slope, slope, **near)
    x = cast(data, "bfloat16")
    plain, compiled = entry.function(*x, **options), jax.jit(functools.partial(entry.function, **options))(*x)
    np.testing.assert_allclose(np.asarray(compiled, float), np.asarray(plain, float), rtol=1e-2, atol=1e-6)


ENDS = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 30.0, -30.0, 1e4, -1e4, 3e38, -3e38, np.inf, -np.inf]


def extremes(entry):
    """Rows of which one element is at an end of the types, or of probabilities, with the second argument for it."""
    data, options = arguments(entry)
    rest = tuple(np.resize(a, (len(ENDS), *a.shape[1:])) for a in data[1:])
    if entry.kind == "loss" and (data[0] >= 0).all() and (data[0] <= 1).all():
        sure = np.resize(np.eye(4), (len(ENDS), 4))
        right = sure[:7] if rest[0].ndim == 2 else np.argmax(sure[:7], -1)
        return (sure, np.concatenate([right, rest[0][7:]]), *rest[1:]), options
    first = np.resize(data[0], (len(ENDS), 4)).copy()
    first[:, 1] = ENDS
    return (first, *rest), options


@of("activation", "loss")
def test_extremes(entry):
    """Finite numbers never give NaN, moderate ones nothing infinite; infinite ones give NaN only where that is said.

    Probabilities are exactly 0 and 1: finite where they are right, at most infinite where they are wrong.
    """
    (first, *rest), options = extremes(entry)
    sure = entry.kind == "loss" and set(np.unique(first)) == {0.0, 1.0}
    for dtype in ("float32", "bfloat16"):
        x = cast((first, *rest), dtype)
        value, slope = (np.asarray(a, float) for a in jax.jit(with_gradient(entry, options))(*x))
        given = np.abs(np.asarray(x[0], float)).max(-1)
        assert not np.isnan(value[given < np.inf]).any()
        assert not np.isnan(slope[given < np.inf]).any()
        if "nan" not in inspect.getdoc(entry.function).lower():
            assert not np.isnan(value).any()
        moderate = np.arange(len(given)) < 7 if sure else given <= 30
        assert np.isfinite(value[moderate]).all()
        assert np.isfinite(slope[moderate]).all()


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.kind == "loss" and e.name != "sparse_cross_entropy"], ids=ids
)
def test_nan_is_not_lost_in_a_large_batch(entry):
    """XLA's CPU reductions and the arithmetic beside them go to another library from 4096 numbers on."""
    data, options = arguments(entry)
    first, *rest = (np.resize(a, (4100, *a.shape[1:])) for a in data)
    rows = np.arange(7, 7 + first.shape[-1])
    first = first.copy()
    first[rows, np.arange(first.shape[-1])] = np.nan  # sparse_cross_entropy looks at one class alone
    value = jax.jit(functools.partial(entry.function, **options))(*cast((first, *rest), "float32"))
    lost = np.isnan(np.asarray(value)).reshape(4100, -1).any(-1)
    np.testing.assert_array_equal(np.flatnonzero(lost), rows)


def test_the_types_are_those_of_numpy():
    assert [np.dtype(getattr(ml_dtypes, t, t)).name for t in FLOATS] == list(FLOATS)
