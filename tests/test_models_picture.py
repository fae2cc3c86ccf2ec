"""The picture of a model: what is in it, and that its boxes and arrows stand as they should."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxdict as jd
from jaxdict import layers, models
from jaxdict.plots._layers import layout

MODEL = models.graph(
    inputs=["wide", "deep"],
    nodes={
        "tower": (models.mlp([4, 8, 6]), "deep"),
        "again": ("tower", "deep"),
        "both": (layers.concatenate(), ["wide", "tower", "again"]),
        "main": (layers.dense(2), "both"),
    },
    outputs={"score": "main", "code": "tower"},
)
SHAPES = {"wide": (3,), "deep": (4,)}


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_the_picture_names_what_there_is():
    figure = jd.plots.graph(MODEL, SHAPES, title="Two uses")
    said = texts(figure)
    assert {"wide", "deep", "tower", "again", "both", "main", "score", "code"} <= set(said)
    assert {"mlp(4 8 6)", "shares tower", "concatenate", "dense(2)"} <= set(said)
    assert said.count("15") == 1  # what concatenate gives
    assert figure.texts[0].get_text() == "Two uses"
    opened = jd.plots.graph(MODEL, SHAPES, depth=2)
    assert {"tower/dense_1", "tower/activation_1", "tower/dense_2"} <= set(texts(opened))
    assert {said for said in texts(opened) if "shares" in said} == {"shares tower/dense_1", "shares tower/dense_2"}
    assert len(opened.axes[0].lines) == 2  # what is shared is joined to its owner


def test_arrows_are_as_many_as_sources_and_boxes_do_not_overlap():
    figure = jd.plots.graph(MODEL, SHAPES)
    kinds = [type(patch).__name__ for patch in figure.axes[0].patches]
    assert kinds.count("FancyArrowPatch") == 8  # deep twice, three into both, one into main, two outputs
    boxes = [p.get_bbox() for p in figure.axes[0].patches if type(p).__name__ == "FancyBboxPatch"]
    assert len(boxes) == 8
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    width, height = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    for box in boxes:
        assert width[0] < box.x0 < box.x1 < width[1]
        assert height[0] < box.y0 < box.y1 < height[1]


def test_arrows_go_into_the_inputs_of_an_opened_graph_one_by_one():
    model = models.graph(inputs=["deep", "wide"], nodes={"in": (MODEL, ["wide", "deep"])}, outputs="in")
    figure = jd.plots.graph(model, SHAPES, depth=2)
    kinds = [type(patch).__name__ for patch in figure.axes[0].patches]
    assert kinds.count("FancyArrowPatch") == 8
    assert texts(figure)[:4] == ["deep", "4", "wide", "3"]


def test_residual_blocks_chains_and_foreign_models_are_drawn(tmp_path):
    block = models.residual(layers.dense(5), layers.activation("relu"), projection="dense")
    said = texts(jd.plots.graph(models.serial(block, layers.dense(1)), (4,), depth=2))
    assert {"input", "output", "residual_1/projection", "residual_1/sum", "activation(relu)"} <= set(said)
    pair = (lambda key, shape: ({}, {}, (1,)), lambda p, s, x, *, key=None, train=False: (x[:, :1], s))
    figure = jd.plots.graph(pair, (3,), tmp_path / "pair.png")
    assert texts(figure) == ["input", "3", "model", "1", "output", "1"]
    assert (tmp_path / "pair.png").stat().st_size > 1000


def test_errors():
    with pytest.raises(ValueError, match="depth must be >= 1; got 0"):
        jd.plots.graph(MODEL, SHAPES, depth=0)
    with pytest.raises(ValueError, match="'deep' missing"):
        jd.plots.graph(MODEL, {"wide": (3,)})


@st.composite
def edges(draw):
    sources = {}
    for i in range(draw(st.integers(1, 9))):
        sources[i] = draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else []
    return sources


@given(edges())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_boxes_stand_below_their_sources_and_apart(sources):
    placed = layout(sources, dict.fromkeys(sources, 2.0), 0.5)
    for box, above in sources.items():
        for source in above:
            assert placed.rows[source] < placed.rows[box]
            passed = [row for _, row in placed.routes[source, box]]
            assert passed == list(range(placed.rows[source] + 1, placed.rows[box]))
    rows = {}
    for box, row in placed.rows.items():
        rows.setdefault(row, []).append(placed.across[box])
    for row, places in rows.items():
        assert np.all(np.diff(sorted(places)) > 2.5 - 1e-6)
        for route in placed.routes.values():
            for x, at in route:
                assert at != row or min(abs(x - place) for place in places) > 1.5 - 1e-6


def test_a_chain_is_drawn_straight():
    placed = layout({0: [], 1: [0], 2: [1], 3: [2], 4: [3, 0]}, dict.fromkeys(range(5), 2.0), 0.5)
    assert len({round(placed.across[box], 6) for box in (1, 2, 3)}) == 1
    assert len({round(x, 6) for x, _ in placed.routes[0, 4]}) == 1
