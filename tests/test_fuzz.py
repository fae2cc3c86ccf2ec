"""Whatever comes in: a result of the right shape and type, the same jitted and mapped, or an error that says why."""

import inspect
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxdict as jd

ACTIVATIONS = jd.entries(kind="activation")
LOSSES = jd.entries(kind="loss")
FLOATS = (jnp.float16, jnp.bfloat16, jnp.float32)
INTEGERS = (jnp.int8, jnp.int32, jnp.bool_)
SHAPES = ((), (0,), (4,), (2, 0), (3, 4))
EXTREMES = (
    0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 88.0, -104.0, 65504.0, -65504.0, 1e-40, 3e38, -3e38, np.inf, -np.inf, np.nan
)  # fmt: skip
quick = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
numbers = st.one_of(st.sampled_from(EXTREMES), st.floats(-20, 20, width=32))


@st.composite
def arrays(draw, shapes=SHAPES, dtypes=(*FLOATS, *INTEGERS)):
    shape, dtype = draw(st.sampled_from(shapes)), draw(st.sampled_from(dtypes))
    size = int(np.prod(shape))
    values = np.asarray(draw(st.lists(numbers, min_size=size, max_size=size)), np.float64).reshape(shape)
    with np.errstate(all="ignore"):
        if dtype in INTEGERS:
            values = np.nan_to_num(values, posinf=100, neginf=-100).clip(-100, 100)
        return jnp.asarray(values.astype(np.float32), dtype)


@pytest.fixture(autouse=True, scope="module")
def whole_tracebacks():
    """Not shortened by jax, so that it shows who raised."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    yield
    jax.config.update("jax_traceback_filtering", before)


def called(function, *arguments):
    """The result, or None when jaxdict itself refused, with a message."""
    try:
        return function(*arguments)
    except (TypeError, ValueError) as error:
        said, where = str(error), traceback.extract_tb(error.__traceback__)[-1].filename
    assert Path(jd.__file__).parent in Path(where).parents, f"not refused but broken: {said}"
    assert len(said) > 15
    return None


def options_of(entry):
    """Values of what an activation must be given."""
    values = {"alpha": 0.25, "minimum": -1.0, "maximum": 2.0}
    parameters = inspect.signature(entry.function).parameters.values()
    return {p.name: values[p.name] for p in parameters if p.default is p.empty and p.name in values}


def narrow(dtype):
    return {"float16": 2**-10, "bfloat16": 2**-7}.get(jnp.dtype(dtype).name, 1e-6)


def close(a, b, dtype):
    np.testing.assert_allclose(
        np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=2 * narrow(dtype), atol=1e-30, equal_nan=True
    )


@pytest.mark.parametrize("entry", ACTIVATIONS, ids=[e.name for e in ACTIVATIONS])
@quick
@given(data=st.data())
def test_any_array_through_an_activation(entry, data):
    x = data.draw(arrays())
    options = options_of(entry)

    def function(x):
        return entry.function(x, **options)

    y = called(function, x)
    if y is None:
        return
    wanted = x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.dtype(jnp.float32)
    assert y.dtype == wanted
    if entry.name != "glu":
        assert y.shape == x.shape
    close(jax.jit(function)(x), y, y.dtype)
    if x.ndim == 2 and x.size:
        close(jax.vmap(function)(x), jnp.stack([function(row) for row in x]), y.dtype)
    if not np.isnan(np.asarray(x, np.float64)).any() and not entry.vectors:
        assert not np.isnan(np.asarray(y, np.float64)).any()


@pytest.mark.parametrize("entry", ACTIVATIONS, ids=[e.name for e in ACTIVATIONS])
@pytest.mark.parametrize("value", [2, -1.5, True])
def test_python_numbers(entry, value):
    """A Python number is a scalar of the default type; functions of a vector say that they need one."""
    options = options_of(entry)
    y = called(lambda v: entry.function(v, **options), value)
    if y is not None:
        assert y.shape == ()
        assert y.dtype == jnp.float32


@pytest.mark.parametrize("entry", ACTIVATIONS, ids=[e.name for e in ACTIVATIONS])
def test_complex_numbers_are_refused(entry):
    options = options_of(entry)
    with pytest.raises(TypeError, match="complex"):
        entry.function(jnp.zeros((2, 2), jnp.complex64), **options)


def takes_labels(entry):
    return list(inspect.signature(entry.function).parameters)[1] == "labels" and entry.name.startswith(
        ("sparse", "multiclass", "categorical")
    )


@pytest.mark.parametrize("entry", LOSSES, ids=[e.name for e in LOSSES])
@quick
@given(data=st.data())
def test_any_arrays_through_a_loss(entry, data):
    """Equal shapes give a value an example in float32, or a message; other shapes always a message."""
    first = data.draw(arrays(dtypes=FLOATS))
    second = data.draw(arrays(dtypes=FLOATS))
    value = called(entry.function, first, second)
    if value is None:
        return
    assert first.shape == second.shape, "a silent broadcast"
    assert value.shape == first.shape[:-1]
    assert value.dtype == jnp.float32
    close(jax.jit(entry.function)(first, second), value, jnp.float32)
    if first.ndim == 2 and first.size:
        rows = jnp.stack([entry.function(a, b) for a, b in zip(first, second, strict=True)])
        close(jax.vmap(entry.function)(first, second), rows, jnp.float32)


@pytest.mark.parametrize("entry", LOSSES, ids=[e.name for e in LOSSES])
@pytest.mark.parametrize(("a", "b"), [((3, 4), (3, 1)), ((3, 4), (4, 3)), ((3, 4), (4,)), ((3, 1), (3,))])
def test_shapes_that_would_broadcast_are_refused(entry, a, b):
    """Sparse losses take labels of one axis less, and refuse any other shape."""
    labels = takes_labels(entry)
    if labels and b == a[:-1]:
        return
    second = jnp.zeros(b, jnp.int32) if labels else jnp.ones(b)
    with pytest.raises((TypeError, ValueError), match=r"\("):
        entry.function(jnp.full(a, 0.5), second)
