"""Backpropagation on one page: a small network forward and backward, every number shown, and jax.grad beside it."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxdict as jd

# Two ReLU layers and a logit, as in a lecture: one example, x = (1, 2), whose class is 0.
dense, relu = jd.layers.dense, jd.layers.activation("relu")
model = jd.models.serial(dense(2, bias=False), relu, dense(2, bias=False), relu, dense(1, bias=False))
params = {
    "dense_1": {"kernel": jnp.array([[1.0, -1.0], [-1.0, 1.0]])},  # rows are inputs, columns are units
    "dense_2": {"kernel": jnp.ones((2, 2))},
    "dense_3": {"kernel": jnp.ones((2, 1))},
}
x, y = jnp.array([[1.0, 2.0]]), jnp.array([[0.0]])

# Forward keeps every z and u; backward is δ = f'(z) ⊙ (W δ of the layer above), and the gradient of W is u times δ.
trace = jd.backprop.forward(model, params, x)
error = jd.lookup("sigmoid_cross_entropy").derivative(trace.outputs, y)  # σ(z) − y
gradients = jd.backprop.backward(model, params, trace, error)
print(jd.backprop.table(model, params, trace, gradients=gradients))


def loss(params):
    return jnp.mean(jd.losses.sigmoid_cross_entropy(model.apply(params, {}, x)[0], y))


by_jax = jax.grad(loss)(params)
difference = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), gradients.params, by_jax)))
print(f"\nlargest difference to jax.grad: {difference:.1e}")
