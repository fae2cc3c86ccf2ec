"""The contact sheet: a row for each augmentation, or for each setting of one."""

import numpy as np
import pytest

import augmentations
from jaxdict import contact_sheet


def words(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.slow
def test_the_sheet_of_all(tmp_path):
    path = tmp_path / "sheet.png"
    figure = contact_sheet.contact_sheet(path=path)
    assert set(augmentations.names()) == set(contact_sheet._SETTINGS)
    assert len(figure.axes) == 10 * (1 + len(augmentations.names()) + 3)
    named = [word for word in words(figure) if word in augmentations.names()]
    assert list(dict.fromkeys(named)) == list(contact_sheet._SETTINGS)
    assert named.count("translate") == 4  # every way to fill
    from matplotlib.image import imread

    assert imread(path).shape[1] == 1200
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_the_sheet_of_one():
    figure = contact_sheet.contact_sheet("Quarter turns", key=3)
    assert words(figure).count("rotate_quarter") == 2
    assert "turns=(0, 2)" in words(figure)
    shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    assert len(shown) == 30
    np.testing.assert_array_equal(shown[0], contact_sheet._digits()[0, ..., 0])
    assert any(np.any(shown[10 + k] != shown[k]) for k in range(10))


def test_unknown():
    with pytest.raises(KeyError, match=r"no augmentation is called 'rotat'; did you mean 'rotate'"):
        contact_sheet.contact_sheet("rotat")
