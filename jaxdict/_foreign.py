"""Flax and Equinox modules as models.

Parameters and state become nested dicts of arrays by path, so that a checkpoint names them without knowing the
library. What is not array data stays in the Model, once, so that it never causes a new compilation. Random number
state is made anew from the key of each call, which keeps ``apply`` pure.
"""

import functools
import importlib
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict._cache import constructor
from jaxdict.layers import Apply, Model, Shape, Train, child

# What a module's __call__ can be told about the phase, by the name of its argument.
_FLAGS: dict[str, Callable[[Train], bool]] = {
    "train": bool,
    "training": bool,
    "is_training": bool,
    "deterministic": operator.not_,
    "inference": operator.not_,
    "use_running_average": lambda train: train is not True,
}


def from_flax(module: Any, *, input_dtype: Any = "float32", name: str | None = None) -> Model:
    """A Flax module, Linen or NNX, as a model.

    A ``__call__`` with an argument ``train``, ``training``, ``is_training``, ``deterministic``, ``inference`` or
    ``use_running_average`` is told the phase; NNX modules also by ``train()`` and ``eval()``. ``train="noise"`` leaves
    batch norm on its running averages. ``apply``'s key is Linen's stream "dropout"; NNX streams derive from it by path.

    Args:
      module: a Linen module, started by ``module.init(key, zeros)``; a function ``rngs -> module`` or class that makes
        an NNX module, given ``nnx.Rngs(key)``; or an NNX module, whose present parameters start it whatever the key.
      input_dtype: of the inputs in ``init``, such as "int32" for embeddings; a tree where the inputs are a tree.
      name: what the model is called as a part of another; the class in lower case when None.

    Returns:
      A model from ``(batch, …)`` to what the module gives, in its dtypes. Params are the collection "params" or the
      ``nnx.Param`` variables, state is the rest, updated in training; what is sown is not kept. It counts as mixing
      examples. Equal Linen modules give the same object; keep that of an NNX module, so that nothing compiles twice.

    Raises:
      TypeError: something else. ModuleNotFoundError: Flax is not installed. ValueError: in ``init``, examples that the
        module does not take; in ``apply``, NNX noise without a key, a state whose shapes change.
    """
    linen, nnx = _imported("from_flax", "flax.linen", "flax.nnx")
    rule = "takes a flax.linen module, a flax.nnx module or a function rngs -> flax.nnx module, with a __call__"
    is_class = isinstance(module, type) and issubclass(module, linen.Module)
    if is_class or not callable(module) or "equinox" in _homes(module):
        raise _rejected(f"from_flax {rule}", module)
    if not isinstance(module, linen.Module):
        return _nnx(nnx, module, input_dtype, name)
    # A tree of types would be remembered in another form.
    make = _linen if jax.tree_util.all_leaves([input_dtype]) else _linen_model
    return make(module, input_dtype, name)


def from_equinox(
    module: Any, *, axis_name: str = "batch", input_dtype: Any = "float32", name: str | None = None
) -> Model:
    """An Equinox module, which takes one example, as a model of batches.

    The phase is told by ``eqx.nn.inference_mode`` and by the arguments of ``__call__`` that ``from_flax`` lists. A
    ``__call__`` with an argument ``key`` gets one for each example. ``train="noise"`` leaves batch and spectral norm on
    their running averages.

    Args:
      module: an ``eqx.Module``, whose present parameters are the start whatever the key; or a function
        ``key -> module`` (or class). With layers like ``eqx.nn.BatchNorm`` also ``(module, state)``, as
        ``eqx.nn.make_with_state`` gives it; where there is no state yet, it is made.
      axis_name: of the batch, for layers that take statistics over it: ``BatchNorm(…, axis_name="batch")``.
      input_dtype: of the inputs in ``init``, such as "int32" for embeddings; a tree where the inputs are a tree.
      name: what the model is called as a part of another; the class in lower case when None.

    Returns:
      A model from ``(batch, …)`` to what the module gives, in its dtypes. Params are the inexact arrays by path; state
      is the "arrays" of other types, which stay as they are, and what is "stateful". It counts as mixing examples.
      Keep it, so that nothing compiles twice.

    Raises:
      TypeError: something else. ModuleNotFoundError: Equinox is not installed. ValueError: a module whose state was
        taken off it; in ``init``, examples that it does not take, a stateful one that gives no ``(outputs, state)``.
    """
    (eqx,) = _imported("from_equinox", "equinox")
    kinds = "an equinox.Module with a __call__, or (module, state)"
    if isinstance(module, (eqx.Module, tuple)):
        fixed = _with_state(eqx, module, f"from_equinox takes {kinds}, or a function key -> either")
        return _equinox(eqx, fixed, lambda key: fixed, axis_name, input_dtype, name)
    if not callable(module) or "flax" in _homes(module):
        raise _rejected(f"from_equinox takes {kinds}, or a function key -> either", module)

    def make(key: jax.Array) -> Any:
        return _with_state(eqx, _given(module, "key", key), f"the function given to from_equinox must make {kinds}")

    return _equinox(eqx, eqx.filter_eval_shape(make, jax.random.key(0)), make, axis_name, input_dtype, name)


# ------------------------------------------------------------------------------------------------------ Flax


def _linen_model(module: Any, input_dtype: Any, name: str | None) -> Model:
    linen, meta = _imported("from_flax", "flax.linen", "flax.core.meta")
    parameters = _parameters(module)
    label = _label(module, name)

    def init(key, input_shape):
        zeros = _examples(input_shape, input_dtype, 1, jnp.zeros)
        variables = dict(meta.unbox(module.init(key, zeros, **_phase(parameters, False))))
        params = _strong(variables.pop("params", {}))
        # Sown values are kept in tuples that grow with each call.
        state = _strong({name: kept for name, kept in variables.items() if not _holds_tuples(kept)})
        return params, state, _output_shape(label, apply, params, state, input_shape, input_dtype)

    def apply(params, state, inputs, *, key=None, train: Train = False):
        rngs = {"dropout": key, "params": child(key, "params")} if train and key is not None else {}
        noise_only = linen.intercept_methods(_on_running_averages(linen)) if train == "noise" else nullcontext()
        with noise_only:
            outputs, new = module.apply(
                {"params": params, **state}, inputs, rngs=rngs, mutable=list(state) if train else [],
                **_phase(parameters, train),
            )  # fmt: skip
        return outputs, _updated(label, state, {**state, **meta.unbox(new)}) if train is True else state

    return Model(init, apply, name=label, named=name is not None)


_linen = constructor(_linen_model)


def _on_running_averages(linen: Any) -> Callable:
    """An interceptor of Linen calls under which batch norm does not look at the batch."""

    def intercept(call, args, options, context):
        norm = context.module
        if not isinstance(norm, linen.BatchNorm) or context.method_name != "__call__":
            return call(*args, **options)
        own = norm.use_running_average
        object.__setattr__(norm, "use_running_average", None)  # given twice, it is an error
        try:
            return call(*args[:1], **{**options, "use_running_average": True})
        finally:
            object.__setattr__(norm, "use_running_average", own)

    return intercept


def _holds_tuples(tree: Any) -> bool:
    return any(isinstance(step, jax.tree_util.SequenceKey) for path, _ in _with_paths(tree) for step in path)


def _nnx(nnx: Any, given: Any, input_dtype: Any, name: str | None) -> Model:
    def make(rngs):
        made = _given(given, "rngs", rngs)
        if not isinstance(made, nnx.Module) or not callable(made):
            raise _rejected("the function given to from_flax must make a flax.nnx module with a __call__", made)
        return made

    def parts(module):
        """What is static; parameters, random number state and other state, Variables or arrays by path."""
        static, *states = nnx.split(module, nnx.Param, (nnx.RngKey, nnx.RngCount), ...)
        return static, *(dict(nnx.to_flat_state(state)) for state in states)

    fixed = isinstance(given, nnx.Module)
    template = given if fixed else nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    static, own_params, streams, own_state = parts(template)
    present = _values(own_params), _values(own_state)  # taken now: the module may go on changing
    label, parameters = _label(template, name), _parameters(template)

    def init(key, input_shape):
        if fixed:
            params, state = _strong(present)
        else:
            _, made_params, _, made_state = parts(make(nnx.Rngs(key)))
            params, state = _strong((_values(made_params), _values(made_state)))
        return params, state, _output_shape(label, apply, params, state, input_shape, input_dtype)

    def apply(params, state, inputs, *, key=None, train: Train = False):
        if key is None and train and (streams or "rngs" in parameters):
            raise ValueError(f"{label} needs a key in training: apply(…, key=key, train=True)")
        key = jax.random.key(0) if key is None else key
        leaves = {path: _filled(leaf, _at(params, path, f"the params of {label}")) for path, leaf in own_params.items()}
        leaves |= {path: _filled(leaf, _at(state, path, f"the state of {label}")) for path, leaf in own_state.items()}
        leaves |= {path: _reseeded(leaf, path, key) for path, leaf in streams.items()}
        module = nnx.merge(static, nnx.from_flat_state(leaves))
        module.train() if train else module.eval()
        if train == "noise":
            module.set_attributes(use_running_average=True, raise_if_not_found=False)
        rngs = {"rngs": nnx.Rngs(child(key, "rngs"))} if "rngs" in parameters else {}
        outputs = module(inputs, **_phase(parameters, train), **rngs)
        if train is not True or not own_state:
            return outputs, state
        after = dict(nnx.to_flat_state(nnx.state(module)))
        return outputs, _updated(label, state, _values({path: after[path] for path in own_state}))

    return Model(init, apply, name=label, named=name is not None)


def _value(leaf: Any) -> Any:
    """What an NNX Variable holds; a bare array is its own value."""
    return leaf.get_value() if hasattr(leaf, "get_value") else leaf


def _values(leaves: Mapping[tuple, Any]) -> dict[str, Any]:
    return _nested((path, _value(leaf)) for path, leaf in leaves.items())


def _filled(leaf: Any, value: Any) -> Any:
    """A Variable like ``leaf`` that holds ``value``; or the value alone, where there was a bare array."""
    return leaf.replace(value) if hasattr(leaf, "replace") else value


def _reseeded(leaf: Any, path: tuple, key: jax.Array) -> Any:
    """A stream's key drawn from ``key`` by its path, or its count from 0."""
    like = _value(leaf)
    if not jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return leaf.replace(jnp.zeros(like.shape, like.dtype))
    own = child(key, "/".join(map(str, path)))
    return leaf.replace(jax.random.split(own, like.shape) if like.shape else own)


# -------------------------------------------------------------------------------------------------- Equinox


def _with_state(eqx: Any, made: Any, rule: str) -> tuple[Any, Any]:
    """A module and its state, which is None where it has none."""
    module, state = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, eqx.Module) or not callable(module) or not isinstance(state, eqx.nn.State | None):
        raise _rejected(rule, made)
    nodes = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, eqx.nn.StateIndex))
    if state is None and any(isinstance(node, eqx.nn.StateIndex) for node in nodes):
        try:
            return eqx.nn.make_with_state(lambda: module)()
        except ValueError as error:
            raise ValueError(
                f"{type(module).__name__} was separated from its state; give both, as (module, state)"
            ) from error
    return module, state


def _equinox(
    eqx: Any, template: tuple, make: Callable[[jax.Array], tuple], axis_name: str, input_dtype: Any, name: str | None
) -> Model:
    """``template`` is like what ``make`` makes of a key, but may have no values in its arrays."""
    found, structure = jax.tree_util.tree_flatten_with_path(template)
    leaves = [leaf for _, leaf in found]
    module, running = template
    markers = running.tree_flatten()[1] if running is not None else ()
    names = [marker if isinstance(marker, str) else str(i) for i, marker in enumerate(markers)]
    label, parameters = _label(module, name), _parameters(module)
    told = {argument: p for argument, p in parameters.items() if p.default is not None}  # None: as the module is set

    def place(path, leaf):
        """Where a leaf is found: in params or state, under a path; None for what is static."""
        steps = tuple(jax.tree_util.keystr((step,), simple=True) for step in path)
        if steps[0] == "1":
            return "state", ("stateful", names[int(steps[1])], *steps[2:])
        if not eqx.is_array(leaf) and not isinstance(leaf, jax.ShapeDtypeStruct):
            return None
        return ("params", steps[1:]) if jnp.issubdtype(leaf.dtype, jnp.inexact) else ("state", ("arrays", *steps[1:]))

    places = {i: at for i, (path, leaf) in enumerate(found) if (at := place(path, leaf)) is not None}

    def split(values):
        params, state = (
            _nested((path, values[i]) for i, (tree, path) in places.items() if tree == kind)
            for kind in ("params", "state")
        )
        return params, state

    def init(key, input_shape):
        params, state = split(jax.tree.leaves(make(key)))
        # A state may be set to values of weak type only where it is of weak type itself.
        stateful = {"stateful": jax.tree.map(jnp.array, state.pop("stateful"))} if names else {}
        params, state = _strong(params), _strong(state) | stateful
        return params, state, _output_shape(label, apply, params, state, input_shape, input_dtype)

    def apply(params, state, inputs, *, key=None, train: Train = False):
        given = {"params": params, "state": state}
        values = list(leaves)
        for i, (tree, path) in places.items():
            values[i] = _at(given[tree], path, f"the {tree} of {label}")
        module, running = jax.tree.unflatten(structure, values)
        kept = jax.tree.structure(running)
        module = eqx.nn.inference_mode(module, value=not train)
        if train == "noise":
            module = _on_running_statistics(eqx, module)

        def call(one, running, key):
            options = _phase(told, train) | ({"key": key} if "key" in parameters else {})
            if running is None:
                return module(one, **options), None
            pair = module(one, running, **options)
            if not isinstance(pair, tuple) or len(pair) != 2 or jax.tree.structure(pair[1]) != kept:
                raise ValueError(f"{label} has state, so that it must give (outputs, state), the whole state")
            return pair

        keys = None if key is None else jax.random.split(key, jax.tree.leaves(inputs)[0].shape[0])
        over_batch = jax.vmap(call, in_axes=(0, None, 0), out_axes=(0, None), axis_name=axis_name)
        outputs, after = over_batch(inputs, running, keys)
        return outputs, split(jax.tree.leaves((module, after)))[1] if train is True and after is not None else state

    return Model(init, apply, name=label, named=name is not None)


def _on_running_statistics(eqx: Any, module: Any) -> Any:
    """``module`` with its norms that take statistics in training in inference mode."""
    norms = eqx.nn.BatchNorm, eqx.nn.SpectralNorm

    def settle(node):
        return eqx.nn.inference_mode(node) if isinstance(node, norms) else node

    return jax.tree.map(settle, module, is_leaf=lambda node: isinstance(node, norms))


# ------------------------------------------------------------------------------------------------- for both


def _imported(caller: str, *names: str) -> list[Any]:
    """Modules of an optional library, or an error that says how to install it."""
    library = names[0].partition(".")[0]
    try:
        return [importlib.import_module(name) for name in names]
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != library:
            raise
        raise ModuleNotFoundError(f"{caller} needs {library}; pip install {library}", name=library) from error


def _homes(given: Any) -> set[str]:
    """The libraries that a class or an object's class derives from."""
    kind = given if isinstance(given, type) else type(given)
    return {base.__module__.partition(".")[0] for base in kind.__mro__}


def _rejected(rule: str, given: Any) -> TypeError:
    is_class = isinstance(given, type)
    what = f"the class {given.__name__}" if is_class else type(given).__name__
    home, hint = _homes(given), ""
    if "flax" in home and "from_equinox" in rule:
        hint = "; from_flax takes it"
    elif "equinox" in home and "from_flax" in rule:
        hint = "; from_equinox takes it"
    elif "flax" in home and is_class:
        hint = f"; give a module, {given.__name__}(…)"
    return TypeError(f"{rule}; got {what}{hint}")


def _label(module: Any, name: str | None) -> str:
    return name or type(module).__name__.lower()


def _given(function: Callable, argument: str, value: Any) -> Any:
    """``function`` of ``value``, by name where it takes that name: NNX and Equinox classes often take it so only."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    # The signature of a class may be that of its metaclass.
    parameter = _signature(inner.__init__ if isinstance(inner, type) else inner).get(argument)
    by_name = parameter is not None and parameter.kind is not parameter.POSITIONAL_ONLY
    return function(**{argument: value}) if by_name else function(value)


def _parameters(module: Any) -> Mapping[str, inspect.Parameter]:
    return _signature(module.__call__)


def _signature(function: Callable) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _phase(parameters: Mapping[str, Any], train: Train) -> dict[str, bool]:
    """What ``__call__`` is told of the phase, by the arguments that it has."""
    return {name: bool(told(train)) for name, told in _FLAGS.items() if name in parameters}


def _examples(input_shape: Any, input_dtype: Any, count: int, make: Callable[[Shape, Any], Any]) -> Any:
    """``count`` examples of a shape, or of a tree of shapes."""

    def is_shape(node):
        return isinstance(node, (tuple, list)) and not any(isinstance(n, (tuple, list, dict)) for n in node)

    if not jax.tree_util.all_leaves([input_dtype]):
        return jax.tree.map(lambda dtype, shape: make((count, *shape), dtype), input_dtype, input_shape)
    return jax.tree.map(lambda shape: make((count, *shape), input_dtype), input_shape, is_leaf=is_shape)


def _output_shape(label: str, apply: Apply, params: Any, state: Any, input_shape: Any, input_dtype: Any) -> Any:
    """The shape of one example's output, or the tree of shapes; nothing is computed."""
    inputs = _examples(input_shape, input_dtype, 2, jax.ShapeDtypeStruct)
    try:
        outputs, _ = jax.eval_shape(apply, params, state, inputs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label} does not take examples of shape {input_shape}, {input_dtype}: {error}") from error
    for leaf in jax.tree.leaves(outputs):
        if leaf.shape[:1] != (2,):
            raise ValueError(f"{label} must keep the batch axis; two examples gave outputs of shape {leaf.shape}")
    return jax.tree.map(lambda leaf: leaf.shape[1:], outputs)


def _strong(tree: Any) -> Any:
    """Copies, which may be donated, without weak types, which would compile a step twice."""
    return jax.tree.map(lambda x: jnp.array(x, dtype=jnp.asarray(x).dtype), tree)


def _updated(label: str, old: Any, new: Any) -> Any:
    """The new state in the old one's types; its shapes must stay the same."""

    def shapes(tree):
        return {jax.tree_util.keystr(path, simple=True, separator="/"): x.shape for path, x in _with_paths(tree)}

    before, after = shapes(old), shapes(new)
    for name in before | after:
        if before.get(name) != after.get(name):
            raise ValueError(
                f"the state of {label} must keep its shapes in training; {name!r} was {before.get(name, 'not there')} "
                f"and became {after.get(name, 'nothing')}"
            )
    return jax.tree.map(lambda o, n: jnp.asarray(n, o.dtype), old, new)


def _with_paths(tree: Any) -> list[tuple[tuple, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


def _nested(leaves: Iterable[tuple[tuple, Any]]) -> dict[str, Any]:
    """Dicts within dicts by path."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves:
        *folders, last = map(str, path)
        node = functools.reduce(lambda node, folder: node.setdefault(folder, {}), folders, tree)
        node[last] = leaf
    return tree


def _at(tree: Any, path: tuple, what: str) -> Any:
    try:
        return functools.reduce(operator.getitem, map(str, path), tree)
    except (KeyError, TypeError, IndexError):
        raise ValueError(f"{what} must hold {'/'.join(map(str, path))!r}, as its init gives them") from None
