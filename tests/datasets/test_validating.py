"""Held-out training images in place of the test images."""

from __future__ import annotations

import numpy as np
import pytest

from fairart.datasets import DatasetError
from fairart.datasets.validating import validating
from fairart.errors import OptionError
from fairart.runs.build import build_dataset
from fairart.runs.config import RunConfig


def rows(x: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in x}


def test_test_images_are_gone_and_nothing_is_trained_and_evaluated_on() -> None:
    whole = build_dataset(RunConfig(trainer="at"))
    data = build_dataset(RunConfig(trainer="at", validation_share=0.2, seed=3))
    assert len(data.x_train) + len(data.x_test) == len(whole.x_train)
    np.testing.assert_allclose(np.bincount(data.y_test), 0.2 * np.array(whole.training_counts), atol=1)
    assert rows(data.x_test) <= rows(whole.x_train)
    # The digits have a few images twice; those may be on both sides.
    twice = len(whole.x_train) - len(rows(whole.x_train))
    assert len(rows(data.x_test) & rows(data.x_train)) <= twice
    assert "0.2 of the training images set apart, seed 3, in place of the test images" in data.note


def test_the_imbalance_is_of_the_images_that_are_trained_on() -> None:
    data = build_dataset(RunConfig(trainer="at", per_class=100, validation_share=0.25, imbalance="exp:10"))
    assert np.bincount(data.y_test).tolist() == [25] * 10
    assert data.training_counts[0] == 75
    assert data.training_counts[-1] == round(75 / 10)


def test_the_seed_draws_and_a_share_that_cannot_be_drawn_is_refused() -> None:
    whole = build_dataset(RunConfig(trainer="at", per_class=10))
    first, again, other = (validating(whole, 0.2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert rows(first.x_test) != rows(other.x_test)
    with pytest.raises(DatasetError, match=r"digits: validation_share=0.01 .*"):
        validating(whole, 0.01, seed=0)
    with pytest.raises(OptionError, match=r"validation_share .*1"):
        RunConfig(trainer="at", validation_share=1.0)
