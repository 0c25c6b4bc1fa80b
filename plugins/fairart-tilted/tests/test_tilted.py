import numpy as np
import pytest
from fairart_tilted import TiltedTrainer, TiltedWeighting

from fairart import create, registered
from fairart.errors import OptionError
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.testing import check_class_weighting, check_trainer


def test_both_parts_are_found_by_name():
    assert registered("class_weighting")["tilted"].plugin == registered("trainer")["tilted"].plugin == "tilted"
    assert registered("trainer")["tilted"].load() is TiltedTrainer


@pytest.mark.parametrize("tilt", [0.0, 2.0, 50.0])
def test_the_weighting_keeps_the_rules(tilt):
    check_class_weighting(TiltedWeighting(tilt=tilt))


def test_the_trainer_keeps_the_rules():
    check_trainer(TiltedTrainer)


def test_weights_are_the_softmax_of_the_errors():
    weighting = create("class_weighting", "tilted", tilt=np.log(4))
    # Errors 0, 1, one half, and a class without samples, which counts as the average: 15 of 30 wrong.
    counts = [[10, 0, 0, 0], [10, 0, 0, 0], [5, 0, 5, 0], [0, 0, 0, 0]]
    weighting.update(EpochStatistics(epoch=0, robust=ConfusionMatrix(counts)))
    np.testing.assert_allclose(weighting.current, np.array([1, 4, 2, 2]) / 2.25)


def test_a_negative_tilt_is_refused():
    with pytest.raises(OptionError, match="tilt must be >= 0"):
        create("class_weighting", "tilted", tilt=-1)
