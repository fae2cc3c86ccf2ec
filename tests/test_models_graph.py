"""Graphs and residual blocks: against NumPy and hand-written JAX, shapes of any graph, rebuilding, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdict import layers, models

BATCH = 6
RNG = np.random.default_rng(0)
WIDE, DEEP = (RNG.normal(size=(BATCH, n)).astype(np.float32) for n in (3, 4))


def wide_and_deep(outputs="main"):
    nodes = {
        "main": (layers.dense(2), "both"),  # in any order
        "hidden": (layers.dense(5), "deep"),
        "bent": (layers.activation("tanh"), "hidden"),
        "both": (layers.concatenate(), ["wide", "bent"]),
    }
    if outputs != "main":
        nodes["aux"] = (layers.dense(1), "bent")
    return models.graph(inputs=["wide", "deep"], nodes=nodes, outputs=outputs)


SHAPES = {"wide": (3,), "deep": (4,)}
INPUTS = {"wide": WIDE, "deep": DEEP}


def start(model, shape):
    """Any parameters and state of the right shapes, and the declared output shape; drawn without a compilation."""
    found = []

    def init():
        params, state, declared = model.init(jax.random.key(0), shape)
        found.append(declared)
        return params, state

    rng = np.random.default_rng(3)
    leaves, tree = jax.tree.flatten(jax.eval_shape(init))
    drawn = [rng.normal(0, 0.7, leaf.shape).astype(np.float32) for leaf in leaves]
    return *jax.tree.unflatten(tree, drawn), found[0]


def dense(params, x):
    return x @ np.asarray(params["kernel"], np.float64) + np.asarray(params["bias"], np.float64)


def test_wide_and_deep_with_an_auxiliary_output_computes_what_it_says():
    model = wide_and_deep(["main", "aux"])
    params, state, shapes = start(model, SHAPES)
    assert shapes == {"main": (2,), "aux": (1,)}
    assert set(params) == {"main", "hidden", "aux"}
    assert state == {}
    outputs, _ = jax.jit(model.apply)(params, state, INPUTS)
    bent = np.tanh(dense(params["hidden"], DEEP))
    np.testing.assert_allclose(outputs["main"], dense(params["main"], np.hstack([WIDE, bent])), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs["aux"], dense(params["aux"], bent), rtol=1e-5, atol=1e-6)


def test_outputs_are_an_array_or_a_dict_by_the_names_that_were_given():
    def shapes(outputs):
        return start(wide_and_deep(outputs), SHAPES)[2]

    assert shapes("main") == (2,)
    assert shapes(["main", "aux"]) == {"main": (2,), "aux": (1,)}
    assert shapes({"score": "main", "code": "bent", "half": "aux"}) == {"score": (2,), "code": (5,), "half": (1,)}


def test_keys_go_by_name_as_in_serial():
    """A node starts as the layer of that name in serial, whatever else is there."""

    def init(key, shape):
        return {"key": jax.random.key_data(key)}, {}, shape

    def apply(params, state, inputs, *, key=None, train=False):
        return inputs, state

    probe = layers.Model(init, apply, name="hidden", named=True)
    nodes = {"other": (probe, "x"), "hidden": (probe, "x"), "sum": (layers.add(), ["other", "hidden"])}
    made = models.graph(inputs="x", nodes=nodes, outputs="sum").init(jax.random.key(7), (4,))[0]
    alone = models.serial(probe).init(jax.random.key(7), (4,))[0]
    np.testing.assert_array_equal(made["hidden"]["key"], alone["hidden"]["key"])
    assert not np.array_equal(made["other"]["key"], made["hidden"]["key"])


# ------------------------------------------------------------------------------------------------------ sharing

TWINS = models.graph(
    inputs=["left", "right"],
    nodes={
        "code": (layers.dense(3), "left"),
        "again": ("code", "right"),
        "both": (layers.concatenate(), ["code", "again"]),
        "score": (layers.dense(1), "both"),
    },
    outputs="score",
)


def test_a_shared_layer_gets_the_gradient_of_both_uses():
    pair = {"left": DEEP, "right": DEEP[::-1] * 0.5}
    params, state, _ = start(TWINS, {"left": (4,), "right": (4,)})
    assert set(params) == {"code", "score"}

    def by_hand(params, left_kernel, right_kernel):
        codes = [
            x @ kernel + jax.lax.broadcast(params["code"]["bias"], (BATCH,))
            for x, kernel in ((pair["left"], left_kernel), (pair["right"], right_kernel))
        ]
        score = jnp.concatenate(codes, -1) @ params["score"]["kernel"]
        return jnp.sum(jnp.square(score + jax.lax.broadcast(params["score"]["bias"], (BATCH,))))

    @jax.jit
    def gradients(params):
        kernel = params["code"]["kernel"]
        ours = jax.grad(lambda p: jnp.sum(jnp.square(TWINS.apply(p, state, pair)[0])))(params)
        return ours, *jax.grad(by_hand, argnums=(0, 1, 2))(params, kernel, kernel)

    ours, others, left, right = jax.device_get(gradients(params))
    np.testing.assert_allclose(ours["code"]["kernel"], left + right, rtol=1e-5, atol=1e-6)
    assert np.abs(left).max() > 0.1 < np.abs(right).max()
    for path in (("code", "bias"), ("score", "kernel"), ("score", "bias")):
        np.testing.assert_allclose(ours[path[0]][path[1]], others[path[0]][path[1]], rtol=1e-5, atol=1e-6)


def test_a_shared_state_is_averaged_use_after_use():
    model = models.graph(
        inputs="x",
        nodes={
            "norm": (layers.batch_norm(momentum=0.75), "x"),
            "bent": (layers.activation("tanh"), "norm"),
            "again": ("norm", "bent"),
        },
        outputs="again",
    )
    assert model.mixes_examples
    assert not wide_and_deep().mixes_examples
    params = {"norm": {"scale": np.ones(4, np.float32), "offset": np.zeros(4, np.float32)}}
    state = {"norm": {"mean": np.zeros(4, np.float32), "variance": np.ones(4, np.float32)}}
    assert jax.tree.structure(start(model, (4,))[:2]) == jax.tree.structure((params, state))
    _, new = jax.jit(lambda x: model.apply(params, state, x, train=True))(DEEP)
    x = DEEP.astype(np.float64)
    bent = np.tanh((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))
    np.testing.assert_allclose(new["norm"]["mean"], 0.75 * 0.25 * x.mean(0) + 0.25 * bent.mean(0), atol=1e-6)
    np.testing.assert_allclose(new["norm"]["variance"], 0.75 * (0.75 + 0.25 * x.var(0)) + 0.25 * bent.var(0), rtol=1e-5)


def test_each_use_of_a_shared_dropout_draws_a_mask_of_its_own():
    model = models.graph(inputs="x", nodes={"a": (layers.dropout(0.5), "x"), "b": ("a", "x")}, outputs=["a", "b"])
    draw = jax.jit(lambda x: model.apply({}, {}, x, key=jax.random.key(0), train=True)[0])
    first, again = draw(np.ones((20, 30), np.float32)), draw(np.ones((20, 30), np.float32))
    assert 0.4 < np.mean(np.asarray(first["a"]) != np.asarray(first["b"])) < 0.6
    np.testing.assert_array_equal(first["a"], again["a"])


# ------------------------------------------------------------------------------------------------ residual blocks


def test_a_residual_block_adds_its_input_projected_where_the_shapes_differ():
    same = models.residual(layers.dense(5), layers.activation("tanh"), layers.dense(4))
    wider = models.residual(layers.dense(5), layers.activation("tanh"), projection="dense")
    own = models.residual(layers.dense(5), layers.activation("tanh"), projection=layers.dense(5))
    blocks = {"same": same, "wider": wider, "own": own}
    params, _, shapes = zip(*(start(block, (4,)) for block in blocks.values()), strict=True)
    assert shapes == ((4,), (5,), (5,))
    params = dict(zip(blocks, params, strict=True))
    assert set(params["same"]) == {"dense_1", "dense_2"}
    assert set(params["wider"]["projection"]) == {"kernel"}
    outputs = jax.jit(lambda p, x: {name: block.apply(p[name], {}, x)[0] for name, block in blocks.items()})(
        params, DEEP
    )
    hidden = np.tanh(dense(params["same"]["dense_1"], DEEP))
    np.testing.assert_allclose(outputs["same"], DEEP + dense(params["same"]["dense_2"], hidden), rtol=1e-5, atol=1e-6)
    projected = DEEP @ np.asarray(params["wider"]["projection"]["kernel"])
    np.testing.assert_allclose(
        outputs["wider"], projected + np.tanh(dense(params["wider"]["dense_1"], DEEP)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        outputs["own"], dense(params["own"]["projection"], DEEP) + np.tanh(dense(params["own"]["dense_1"], DEEP)),
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    alike = models.residual(layers.dense(4), projection="dense")
    assert "projection" not in start(alike, (4,))[0]  # nothing to project


def test_a_residual_block_hands_on_keys_and_state():
    block = models.residual(layers.batch_norm(), layers.dropout(0.5), projection="dense")
    assert block.mixes_examples
    params, state, shape = start(block, (4,))
    outputs, new = jax.eval_shape(
        lambda p, s, x: block.apply(p, s, x, key=jax.random.key(1), train=True), params, state, DEEP
    )
    assert (outputs.shape, shape) == ((BATCH, 4), (4,))
    assert jax.tree.structure(new) == jax.tree.structure(state)


# ----------------------------------------------------------------------------------------------- shapes, nesting


@st.composite
def graphs(draw):
    """A random graph of dense layers, sums, joins and shared layers over one or two inputs."""
    inputs = ["x", "z"][: draw(st.integers(1, 2))]
    shapes = {name: (draw(st.integers(1, 4)),) for name in inputs}
    known, nodes, made = dict(shapes), {}, []
    for i in range(draw(st.integers(1, 6))):
        name, kind = f"n{i}", draw(st.sampled_from(["dense", "add", "concatenate", "share"]))
        sources = draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=3))
        fitting = [n for n, shape in known.items() if shape == known[sources[0]]]
        if kind == "share" and (owners := [n for n, width in made if width == known[sources[0]]]):
            owner = draw(st.sampled_from(owners))
            nodes[name], known[name] = (owner, sources[0]), known[owner]
        elif kind == "add" and len(fitting) > 1:
            nodes[name], known[name] = (layers.add(), fitting[:3]), known[sources[0]]
        elif kind == "concatenate" and len(sources) > 1:
            nodes[name], known[name] = (layers.concatenate(), sources), (sum(known[s][0] for s in sources),)
        else:
            width = draw(st.integers(1, 4))
            nodes[name], known[name] = (layers.dense(width), sources[0]), (width,)
            made.append((name, known[sources[0]]))
    used = {s for _, of in nodes.values() for s in ([of] if isinstance(of, str) else of)}
    ends = [n for n in nodes if n not in used] + [n for n in inputs if n not in used]
    order = draw(st.permutations(sorted(nodes)))
    return inputs, shapes, {name: nodes[name] for name in order}, ends, {name: known[name] for name in ends}


@given(graphs(), st.integers(1, 3))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_declared_shapes_of_any_graph_are_the_actual_ones(made, batch):
    inputs, shapes, nodes, ends, wanted = made
    model = models.graph(inputs=inputs, nodes=nodes, outputs=ends)
    arrays = {name: jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for name, shape in shapes.items()}
    declared = {}

    def run(x):
        params, state, declared["shape"] = model.init(jax.random.key(0), shapes)
        return model.apply(params, state, x)[0], params

    outputs, params = jax.eval_shape(run, arrays)
    assert declared["shape"] == wanted
    assert {name: y.shape for name, y in outputs.items()} == {name: (batch, *shape) for name, shape in wanted.items()}
    assert set(params) == {name for name, (layer, _) in nodes.items() if getattr(layer, "name", "") == "dense"}
    assert models.spec_from_json(models.spec_to_json(model)) is model


def test_a_graph_is_a_layer():
    inner = wide_and_deep("main")
    outer = models.graph(
        inputs=["wide", "deep"],
        nodes={
            "left": (layers.dense(3), "wide"),
            "norm": (models.serial(layers.batch_norm(), layers.dense(4)), "deep"),
            "head": (
                models.serial(layers.concatenate(), models.residual(layers.dense(7)), name="head"),
                ["left", "norm"],
            ),
        },
        outputs="head",
    )
    chained = models.serial(inner, layers.dense(3), name="all")
    for model, names in ((outer, {"left", "norm", "head"}), (chained, {"graph_1", "dense_1"})):
        params = jax.eval_shape(lambda m=model: m.init(jax.random.key(0), SHAPES)[:2])
        assert set(params[0]) == names
        outputs, new = jax.eval_shape(lambda p, x, m=model: m.apply(*p, x, train=True), params, INPUTS)
        assert jax.tree.structure(new) == jax.tree.structure(params[1])
        assert outputs.shape == (BATCH, 7 if model is outer else 3)


def test_a_graph_of_several_inputs_is_a_node_that_takes_several_sources():
    sources = ["right", "left"]  # in the order of the graph's inputs
    model = models.graph(
        inputs=["left", "right"], nodes={"inner": (wide_and_deep(), sources), "again": ("inner", sources)},
        outputs={"first": "inner", "second": "again"},
    )  # fmt: skip
    shapes = {"left": (4,), "right": (3,)}
    params, state, declared = start(model, shapes)
    assert declared == {"first": (2,), "second": (2,)}
    outputs, _ = jax.jit(model.apply)(params, state, {"left": DEEP, "right": WIDE})
    wanted = dense(params["inner"]["main"], np.hstack([WIDE, np.tanh(dense(params["inner"]["hidden"], DEEP))]))
    for name in ("first", "second"):
        np.testing.assert_allclose(outputs[name], wanted, rtol=1e-5, atol=1e-6)
    rows = {line.split()[0]: line for line in models.summary(model, shapes).splitlines()}
    assert rows["both"].split()[2:4] == ["wide,", "bent"]
    assert models.summary(model, ((4,), (3,))).splitlines()[:-1] == models.summary(model, shapes).splitlines()[:-1]


def test_equal_graphs_are_the_same_object():
    assert wide_and_deep() is wide_and_deep()
    assert wide_and_deep(["main", "aux"]) is not wide_and_deep({"main": "main", "aux": "aux", "bent": "bent"})
    assert models.residual(layers.dense(2)) is models.residual(layers.dense(2))
    text = models.spec_to_json(models.residual(layers.dense(2), projection=layers.dense(2, bias=False)))
    assert models.spec_from_json(text) is models.residual(layers.dense(2), projection=layers.dense(2, bias=False))
    nodes = {"a": (layers.dense(2), "x")}
    model = models.graph(inputs="x", nodes=nodes, outputs="a")
    nodes["b"] = (layers.dense(3), "a")  # what was given stays the caller's
    assert models.graph(inputs="x", nodes={"a": (layers.dense(2), "x")}, outputs="a") is model
    assert "'a'" in models.spec_to_json(model).replace('"', "'")


# ------------------------------------------------------------------------------------------------------- errors

D = layers.dense(2)


def build(nodes, inputs="x", outputs="a"):
    return models.graph(inputs=inputs, nodes=nodes, outputs=outputs)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: build({}), TypeError, r"nodes must be a dict .* with at least one; got {}"),
        (lambda: build({"a": D}), TypeError, r"node 'a' must be \(layer, source\) or \(layer, sources\); got <Model"),
        (lambda: build({"a": (D.init, D.apply)}), TypeError, r"node 'a' must be \(layer, source\)"),
        (lambda: build({1: (D, "x")}), TypeError, r"nodes must be called by strings; got 1"),
        (lambda: build({"a": (3, "x")}), TypeError, r"node 'a': a model must be a jaxdict Model .* got int"),
        (lambda: build({"a": (D, [])}), TypeError, r"the sources of node 'a' must be a name or names; got \(\)"),
        (lambda: build({"a": (D, "wdie")}, inputs="wide"), ValueError, r"node 'a' takes 'wdie'; did you mean 'wide'"),
        (lambda: build({"a": (D, "x")}, outputs="aa"), ValueError, r"no node 'aa' to be an output; did you mean 'a'"),
        (lambda: build({"a": (D, "x")}, outputs=["a", "a"]), ValueError, r"outputs name 'a' twice"),
        (lambda: build({"a": (D, "x")}, outputs={}), TypeError, r"outputs must be names of nodes"),
        (lambda: build({"a": (D, "x")}, inputs=["x", "x"]), ValueError, r"inputs name 'x' twice"),
        (lambda: build({"a": (D, "x")}, inputs=[]), TypeError, r"inputs must be a name or names; got \(\)"),
        (lambda: build({"a": (D, "x")}, inputs=["x", "a"]), ValueError, r"an input and a node are both called 'a'"),
        (lambda: build({"a": (D, "x"), "b": (D, "x")}), ValueError, r"the node 'b' is not used"),
        (lambda: build({"a": (D, "x")}, inputs=["x", "z"]), ValueError, r"the input 'z' is not used"),
        (lambda: build({"a": (D, "c"), "b": (D, "a"), "c": (D, "b")}), ValueError, r"circle: a → b → c → a"),
        (lambda: build({"a": ("b", "x"), "b": ("a", "x")}), ValueError, r"share their layers in a circle: a → b → a"),
        (lambda: build({"a": ("dens", "x"), "dense": (D, "x")}), ValueError, r"'dens', which is no node; did you mean"),
        (lambda: models.residual(), ValueError, r"serial needs at least one layer"),
        (lambda: models.residual(D, projection="conv"), TypeError, r"a model must be .* got str"),
        (lambda: models.residual(layers.dense(2, name="sum")), ValueError, r"may not be called 'sum'"),
    ],
)
def test_errors_when_built(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (wide_and_deep(), (3,), r"must be a dict with 'wide', 'deep', or a tuple in that order; got \(3,\)"),
        (
            build({"a": (D, "x")}, inputs=["x"]),
            (3,),
            r"must be a dict with 'x'.* got \(3,\); of inputs='x', no list, it",
        ),
        (wide_and_deep(), (3, 4), r"must be a dict with 'wide', 'deep', or a tuple in that order; got \(3, 4\)"),
        (wide_and_deep(), {"wide": (3,)}, r"must hold 'wide', 'deep'; 'deep' missing"),
        (wide_and_deep(), SHAPES | {"dep": (1,)}, r"the input shape of a graph cannot hold 'dep'; did you mean 'deep'"),
        (build({"a": (D, "x")}), {"x": (3,)}, r"with one input, 'x', must be no dict"),
        (
            build({"b": (D, "x"), "a": (layers.add(), ["x", "b"])}),
            (3,),
            r"node 'a', add of 'x' \(3,\) and 'b' \(2,\).*one shape; got \(3,\), \(2,\)",
        ),
        (
            build({"b": (D, "x"), "a": ("b", "b")}),
            (3,),
            r"'a' shares parameters and state of 'b', which takes \(3,\): for \(2,",
        ),
        (
            build({"n": (layers.batch_norm(scale=False, offset=False), "x"), "b": (D, "n"), "a": ("n", "b")}),
            (3,),
            r"'a' shares parameters and state of 'n', which takes \(3,\): for \(2,",
        ),
        (
            build({"a": (models.mlp([4, 2]), "x")}),
            (3,),
            r"node 'a', mlp of 'x' \(3,\): mlp\(\[4, 2\]\) takes .* got \(3,\)",
        ),
        (models.residual(layers.dense(2)), (3,), r"adds x of shape \(3,\) to f\(x\) of shape \(2,\); give projection"),
        (models.residual(D, projection=layers.dense(5)), (3,), r"x of shape \(3,\) to \(5,\) by dense.*shape \(2,\)"),
    ],
)
def test_errors_at_init(model, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: model.init(jax.random.key(0), shape)[0])


def test_a_layer_that_takes_one_array_says_which_node_gave_it_two():
    model = build({"a": (layers.dense(2), ["x", "z"])}, inputs=["x", "z"])
    with pytest.raises(
        (TypeError, ValueError), match=r"node 'a', dense of 'x' \(3,\) and 'z' \(4,\) \(several sources"
    ):
        model.init(jax.random.key(0), {"x": (3,), "z": (4,)})
    bent = build({"a": (layers.activation("tanh"), ["x", "z"])}, inputs=["x", "z"])
    with pytest.raises((TypeError, ValueError), match=r"node 'a', activation of 'x' \(3,\) and 'z' \(4,\)"):
        bent.apply({}, {}, {"x": WIDE, "z": DEEP})


# ------------------------------------------------------------------------------------------------------ summary


def test_the_summary_of_a_graph_shows_sources_and_counts_what_is_shared_once():
    lines = models.summary(TWINS, {"left": (4,), "right": (4,)}).splitlines()
    rows = {line.split()[0]: line.split() for line in lines}
    assert lines[0].split() == ["layer", "sources", "output", "shape", "parameters", "bytes", "FLOPs"]
    assert rows["code"] == ["code", "(dense)", "left", "(3,)", "15", "60", str(2 * 4 * 3 + 3)]
    assert rows["again"] == ["again", "(shares", "code)", "right", "(3,)", "0", "0", str(2 * 4 * 3 + 3)]
    assert rows["both"] == ["both", "(concatenate)", "code,", "again", "(6,)", "0", "0", "0"]
    total = 2 * (2 * 4 * 3 + 3) + 2 * 6 + 1
    assert lines[-1].startswith(
        f"22 parameters, 88 bytes, {total} FLOPs an example; input {{'left': (4,), 'right': (4,)}}"
    )


def test_the_summary_opens_models_within_models():
    model = models.serial(models.residual(layers.dense(6), projection="dense"), layers.batch_norm(), layers.dense(1))
    text = models.summary(model, (4,))
    rows = {line.split()[0]: line.split() for line in text.splitlines()}
    assert rows["residual_1"] == ["residual_1", "input", "(6,)"]
    assert rows["projection"] == ["projection", "(dense)", "input", "(6,)", "24", "96", "48"]
    assert rows["sum"] == ["sum", "(add)", "projection,", "dense_1", "(6,)", "0", "0", "6"]
    assert "73 parameters, 292 bytes, 48 bytes of state" in text


def test_the_summary_of_a_shared_model_is_one_row_and_parameters_add_up():
    nodes = {"a": (models.mlp([4, 5, 4]), "x"), "b": ("a", "a")}
    lines = models.summary(models.graph(inputs="x", nodes=nodes, outputs="b"), (4,)).splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == ["a", "dense_1", "activation_1", "dense_2", "b"]
    assert lines[-3].split()[1:] == ["(shares", "a)", "(4,)", "0", "0", str(45 + 5 + 44)]
    assert lines[-1].startswith("49 parameters")


def test_the_summary_of_inputs_of_several_types():
    nodes = {"code": (layers.embedding(7, 3), "word"), "join": (layers.concatenate(), ["code", "x"])}
    model = models.graph(inputs=["word", "x"], nodes=nodes, outputs="join")
    shapes = {"word": (), "x": (2,)}
    assert "output (5,)" in models.summary(model, shapes, input_dtype={"x": "float32", "word": "int32"})
    with pytest.raises(ValueError, match=r"input_dtype must be one, or a tree like .* got {'x': 'float32'}"):
        models.summary(model, shapes, input_dtype={"x": "float32"})
    with pytest.raises(TypeError, match=r"an input shape must be a tuple of whole numbers, .* got 4"):
        models.summary(layers.dense(2), 4)


def test_the_summary_allocates_nothing():
    before = len(jax.live_arrays())
    models.summary(models.mlp([4, 10**9, 2]), (4,))
    assert len(jax.live_arrays()) <= before + 1  # a key
