"""A model's layers as a table."""

from collections.abc import Iterator
from typing import Any

import jax

from jaxdict.models._walk import Step, count, kind_of, shape_of, size, walk

__all__ = ["summary"]


def summary(model: Any, input_shape: Any, *, input_dtype: Any = "float32") -> str:
    """A table of the layers: name, output shape, parameters, their bytes, and FLOPs, with sources in a graph.

    FLOPs are those of one example forward, outside training, by XLA's cost analysis of the layer as lowered: a multiply
    and an add are two, an exponential is one or what it is lowered to, and the body of a loop counts once.

    Args:
      model: any model; foreign ones are one row.
      input_shape: of one example, without the batch axis; a dict of shapes by name for several inputs.
      input_dtype: of the inputs; a dict of types by name where they differ.

    Returns:
      The table as text; nothing is allocated for it, and nothing compiled.

    Raises:
      ValueError: an input shape that the model does not take. TypeError: one that is none, inputs of a wrong type.
    """
    whole = walk(model, input_shape, input_dtype)
    costs: dict[Any, float | None] = {}
    rows = [_row(step, depth, costs) for step, depth in _steps(whole, 0)]
    header = ("layer", "sources", "output shape", "parameters", "bytes", "FLOPs")
    chained = not any(_branches(step) for step, _ in _steps(whole, 0)) and not _branches(whole)
    columns = [i for i in range(len(header)) if not (chained and i == 1)]
    table = [[row[i] for i in columns] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    words = len(columns) - 3  # the rest are numbers
    lines = [
        "  ".join(f"{c:<{w}}" if i < words else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in table
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, _total(whole, costs)])


def _steps(step: Step, depth: int) -> Iterator[tuple[Step, int]]:
    """Every step with how deep it lies, a model before its parts; a model without parts is its only row.

    A model that shares another's parameters is one row: its parts are the other's.
    """
    if not step.inner and not step.path:
        yield step, 0
    for inner in step.inner:
        yield inner, depth
        if inner.own:
            yield from _steps(inner, depth + 1)


def _branches(step: Step) -> bool:
    """Whether its parts are no chain."""
    return any(len(part.sources) > 1 for part in step.inner) or len({part.sources for part in step.inner}) < len(
        step.inner
    )


def _row(step: Step, depth: int, costs: dict[Any, float | None]) -> tuple[str, ...]:
    name = step.path[-1] if step.path else step.owner
    kind = kind_of(step)
    label = "  " * depth + (name if name.startswith(kind) else f"{name} ({kind})")
    numbers = ("", "", "")  # a model's are its parts'
    if not step.own:
        label, numbers = f"{'  ' * depth}{name} (shares {step.owner})", ("0", "0", _flops_text(step, costs))
    elif not step.inner:
        numbers = (f"{count(step.params):,}", f"{size(step.params):,}", _flops_text(step, costs))
    return label, ", ".join(step.sources), str(shape_of(step.outputs)), *numbers


def _flops_text(step: Step, costs: dict[Any, float | None]) -> str:
    flops = _flops(step, costs)
    return "?" if flops is None else f"{flops:,.0f}"


def _flops(step: Step, costs: dict[Any, float | None]) -> float | None:
    """Floating point operations of a step with all its parts; None where the backend does not tell."""
    if step.inner:
        parts = [_flops(part, costs) for part in step.inner]
        return None if None in parts else sum(part for part in parts if part is not None)
    leaves, tree = jax.tree.flatten(step.inputs)
    at = (id(step.layer), tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))
    if at not in costs:
        apply = step.layer.apply

        def forward(params, state, inputs):
            return apply(params, state, inputs)[0]

        try:
            found = jax.jit(forward).lower(step.params, step.state, step.inputs).cost_analysis()
            costs[at] = (found or {}).get("flops", 0.0)
        except NotImplementedError:
            costs[at] = None
    return costs[at]


def _total(whole: Step, costs: dict[Any, float | None]) -> str:
    flops = _flops(whole, costs)
    parts = [f"{count(whole.params):,} parameters", f"{size(whole.params):,} bytes"]
    if size(whole.state):
        parts.append(f"{size(whole.state):,} bytes of state")
    if flops is not None:
        parts.append(f"{flops:,.0f} FLOPs an example")
    shapes = f"input {shape_of(whole.inputs)}, output {shape_of(whole.outputs)}"
    return f"{', '.join(parts)}; {shapes}"
