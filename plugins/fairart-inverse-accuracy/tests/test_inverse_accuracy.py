import numpy as np
import pytest
from fairart_inverse_accuracy import InverseAccuracySampler

from fairart import create, registered
from fairart.errors import OptionError
from fairart.statistics import ConfusionMatrix, EpochStatistics
from fairart.testing import check_target_sampler


def test_it_keeps_the_rules():
    check_target_sampler(InverseAccuracySampler(power=2.0))


def test_it_is_found_by_name():
    assert registered("target_sampler")["inverse-accuracy"].plugin == "inverse-accuracy"
    assert isinstance(create("target_sampler", "inverse-accuracy", power=3), InverseAccuracySampler)


def test_it_aims_by_error():
    statistics = EpochStatistics(epoch=0, robust=ConfusionMatrix([[8, 1, 1], [0, 4, 6], [1, 1, 8]]))
    sampler = InverseAccuracySampler()
    sampler.start(3)
    sampler.update(statistics)
    # Errors 0.2, 0.6, 0.2: from class 0 the draw is between 1 and 2 at 3 to 1.
    np.testing.assert_allclose(sampler.probabilities[0], [0, 0.75, 0.25])


def test_a_negative_power_is_refused():
    with pytest.raises(OptionError, match="power must be >= 0"):
        create("target_sampler", "inverse-accuracy", power=-1)
