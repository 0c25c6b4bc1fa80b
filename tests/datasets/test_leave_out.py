"""Classes taken out of a data set: the others numbered anew, nothing lost, and errors that name the class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart.datasets import Dataset, DatasetError
from fairart.datasets.leave_out import leave_out, left_out_images
from fairart.runs.build import build_dataset, unseen_images
from fairart.runs.config import RunConfig

NAMES = ("cat", "dog", "bird", "fish", "frog")


def made(note=""):
    # Every image shows its class.
    y_train, y_test = np.arange(40) % 5, np.arange(15)[::-1] % 5

    def images(y):
        return np.broadcast_to(y.astype(np.uint8)[:, None, None, None], (len(y), 1, 2, 2)).copy()

    return Dataset("made", images(y_train), y_train, images(y_test), y_test, NAMES, note=note)


@given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=3))
def test_the_rest_keeps_its_order_and_every_image_is_on_one_side(names):
    whole = made(note="mine")
    rest, out = leave_out(whole, sorted(names)), left_out_images(whole, sorted(names))
    assert rest.classes == tuple(name for name in NAMES if name not in names)
    for x, y in ((rest.x_train, rest.y_train), (rest.x_test, rest.y_test)):
        assert [rest.classes[label] for label in y] == [NAMES[value] for value in x[:, 0, 0, 0]]
    assert len(rest.x_train) == 40 - 8 * len(names)
    assert len(rest.x_test) + len(out) == 15
    assert {NAMES[value] for value in out[:, 0, 0, 0]} == names
    assert len(left_out_images(whole, sorted(names), split="train")) == 8 * len(names)
    in_order = ", ".join(name for name in NAMES if name in names)
    assert rest.note == f"mine; classes left out: {in_order}"


def test_bad_names_are_named():
    with pytest.raises(DatasetError, match="made has no class 'cats' to leave out; did you mean 'cat'"):
        leave_out(made(), ["cats"])
    with pytest.raises(DatasetError, match="at least two classes to be left, got 1 of 5"):
        leave_out(made(), NAMES[:4])
    empty = Dataset("made", made().x_train, made().y_train, made().x_test[:1], made().y_test[:1], NAMES)
    with pytest.raises(DatasetError, match="no test images of the classes cat"):
        left_out_images(empty, ["cat"])


@pytest.mark.parametrize(("value", "expected"), [("8,9", "8,9"), (8, "8"), ([8, "9"], "8,9"), ("none", None), (None, None)])
def test_forms_of_the_setting(value, expected):
    config = RunConfig.from_mapping({"trainer": "at", "leave_out": value})
    assert config.leave_out == expected
    assert RunConfig.from_mapping(config.to_dict()).leave_out == expected


def test_where_test_images_are_spared_training_images_are_taken():
    plain = {"trainer": "at", "leave_out": "8,9"}
    whole = build_dataset(RunConfig.from_mapping({"trainer": "at"}))
    for more, y in (({}, whole.y_test), ({"validation_share": 0.2}, whole.y_train)):
        config = RunConfig.from_mapping({**plain, **more})
        assert len(unseen_images(config)) == (y >= 8).sum()
        assert build_dataset(config).nb_classes == 8
    assert unseen_images(RunConfig.from_mapping({"trainer": "at"})) is None
