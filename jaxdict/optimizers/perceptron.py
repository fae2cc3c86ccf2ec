"""The perceptron's learning rule, from before there were gradients: one example at a time, errors alone count."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, cast, check_floating


@entry(
    "optimizer",
    equation="yhat = indicator(sum(w*x) + b >= 0); w = w + eta*(y - yhat)*x; b = b + eta*(y - yhat)",
    aliases=("perceptron learning rule", "perceptron update", "rosenblatt rule"),
    sources=("S2 10.1.3", "Rosenblatt 1958, doi:10.1037/h0042519", "Novikoff 1962, Symposium on the Mathematical"
             " Theory of Automata 12, 615-622"),
    errata=(
        "S2 10.1.3 has 0 or 1 under (y - yhat)*x; y - yhat is -1, 0 or 1, and x is any number.",
        "S2 10.1.3 proves convergence on separable examples only; on others, XOR among them, it never ends.",
    ),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none; optax.losses.perceptron_loss with targets of -1 and 1, by gradient descent at rate 1, is nearly"
        " this rule",
        "scikit-learn": "Perceptron: targets of -1 and 1 inside, rate eta0 1, examples in random order, until nothing"
        " improves",
        "S2": "targets 0 and 1; the bias is the weight of an input that is 1",
    },
    see_also=("gradient_descent", "activation step", "term perceptron"),
    vectors=("w", "x"),
)  # fmt: skip
def perceptron_rule(params: Mapping[str, Any], x: Any, y: Any, *, learning_rate: Scalar = 1.0) -> dict[str, jax.Array]:
    """The parameters of a layer of threshold units after one example: units that were right stay as they are.

    On separable examples, taken one after another, errors end after at most (R/γ)² of them, R the longest example
    (with its 1 for the bias) and γ the margin, whatever the rate, when the weights begin at 0. A pass over all of them:
    ``jax.lax.scan(lambda p, e: (perceptron_rule(p, *e), None), params, (inputs, targets))``.

    Args:
      params: ``{"kernel": (n_in, n_out), "bias": (n_out,)}``, those of ``jaxdict.layers.dense``; bias may be missing.
      x: ``(n_in,)``, one example.
      y: ``(n_out,)``, what each unit should have said, 0 or 1.
      learning_rate: η > 0, a number or a traced scalar.

    Returns:
      The new parameters, of the same shapes and types.

    Raises:
      ValueError: a rate that is not above 0, parameters of other names, shapes that do not fit.
      TypeError: a rate that is not a number, parameters that are not floating.
    """
    learning_rate = _check.scalar("learning_rate", learning_rate, above=0)
    if not isinstance(params, Mapping) or not {"kernel"} <= set(params) <= {"kernel", "bias"}:
        raise ValueError(f"params must hold kernel, and may hold bias; got {jax.tree.structure(params)}")
    check_floating(dict(params))
    kernel, bias = jnp.asarray(params["kernel"]), params.get("bias")
    dtype = _check.compute_dtype(kernel.dtype)
    x, y = jnp.asarray(x, dtype), jnp.asarray(y, dtype)
    if kernel.shape != x.shape + y.shape or x.ndim != 1:
        raise ValueError(
            f"x and y must be one example, (n_in,) and (n_out,), with a kernel (n_in, n_out); got {x.shape}, {y.shape}"
            f" and {kernel.shape}; go over several with jax.lax.scan"
        )
    w, b = kernel.astype(dtype), 0 if bias is None else jnp.asarray(bias, dtype)
    yhat = (x @ w + b >= 0).astype(dtype)
    error = cast(learning_rate, dtype) * (y - yhat)
    learned = {"kernel": (w + jnp.outer(x, error)).astype(kernel.dtype)}
    if bias is not None:
        learned["bias"] = (b + error).astype(jnp.result_type(bias))
    return learned
