from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fairart import create
from fairart.errors import PolicyError
from fairart.policies import Averaging
from fairart.statistics import EpochStatistics

Statistics = Callable[..., EpochStatistics]
COUNTS = np.diag([10, 10])


def weights(value: float, count: int = 0) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), value, dtype=torch.float64), "num_batches_tracked": torch.tensor(count)}


def worst(share: float) -> np.ndarray:
    """Validation counts whose worst class has that accuracy, in hundredths."""
    right = round(100 * share)
    return np.array([[100, 0], [100 - right, right]])


def test_golden_exponential_moving_average(golden_policies: dict[str, Any], make_statistics: Statistics):
    golden = golden_policies["averaging"]
    averaging: Averaging = create("averaging", "ema", decay=golden["decay"], start_epoch=0)
    for epoch, (value, expected) in enumerate(zip(golden["weights"], golden["ema"], strict=True)):
        assert averaging.update(weights(value, epoch), make_statistics(COUNTS, epoch=epoch)) is True
        np.testing.assert_allclose(averaging.average["weight"], expected, atol=1e-6)
        assert int(averaging.average["num_batches_tracked"]) == epoch, "integer buffers are copied"


def test_golden_fairness_aware_weight_averaging(golden_policies: dict[str, Any], make_statistics: Statistics):
    golden = golden_policies["averaging"]
    averaging: Averaging = create("averaging", "fawa", threshold=golden["fawa_threshold"], start_epoch=0)
    rows = zip(golden["weights"], golden["validation_worst_robust"], golden["fawa"], strict=True)
    last: float | None = None
    for epoch, (value, share, expected) in enumerate(rows):
        taken = averaging.update(weights(value), make_statistics(COUNTS, epoch=epoch, validation=worst(share)))
        assert taken is (share >= golden["fawa_threshold"])
        if expected is None:
            assert averaging.average is None
        else:
            np.testing.assert_allclose(averaging.average["weight"], expected, atol=1e-6)
            assert taken or expected == last
        last = expected
    assert averaging.accepted == sum(share >= 0.2 for share in golden["validation_worst_robust"])


def test_the_threshold_itself_is_accepted(make_statistics: Statistics):
    averaging: Averaging = create("averaging", "fawa", threshold=0.25, start_epoch=0)
    assert averaging.update(weights(1.0), make_statistics(COUNTS, validation=[[4, 0], [3, 1]])) is True


def test_floating_buffers_are_averaged_and_integers_copied(make_statistics: Statistics):
    averaging: Averaging = create("averaging", "ema", decay=0.5, start_epoch=0)
    for epoch in range(2):
        state = {
            "running_mean": torch.tensor([4.0 * epoch], dtype=torch.float32),
            "steps": torch.tensor([10 * epoch], dtype=torch.int32),
            "mask": torch.tensor([epoch == 1]),
        }
        averaging.update(state, make_statistics(COUNTS, epoch=epoch))
    assert averaging.average["running_mean"].item() == 2.0
    assert averaging.average["steps"].item() == 10
    assert averaging.average["mask"].item() is True
    assert {name: value.dtype for name, value in averaging.average.items()} == {
        "running_mean": torch.float32,
        "steps": torch.int32,
        "mask": torch.bool,
    }


def test_the_weights_handed_in_are_copied(make_statistics: Statistics):
    averaging: Averaging = create("averaging", "ema", start_epoch=0)
    state = weights(1.0)
    averaging.update(state, make_statistics(COUNTS))
    state["weight"].fill_(7.0)
    assert averaging.average["weight"].tolist() == [1.0, 1.0]
    averaging.update(weights(3.0), make_statistics(COUNTS, epoch=1))
    assert state["weight"].tolist() == [7.0, 7.0]


@pytest.mark.parametrize("name", ["ema", "fawa"])
@pytest.mark.parametrize(("nb_epochs", "first"), [(8, 2), (200, 50), (3, 0)])
def test_by_default_the_average_starts_after_a_quarter_of_the_run(
    name: str, nb_epochs: int, first: int, make_statistics: Statistics
):
    averaging: Averaging = create("averaging", name)
    taken = [
        averaging.update(weights(1.0), make_statistics(COUNTS, epoch=epoch, nb_epochs=nb_epochs, validation=worst(1.0)))
        for epoch in range(nb_epochs)
    ]
    assert taken.index(True) == first
    assert all(taken[first:])


def test_start_epoch_given(make_statistics: Statistics):
    averaging: Averaging = create("averaging", "ema", start_epoch=5)
    assert [averaging.update(weights(1.0), make_statistics(COUNTS, epoch=epoch)) for epoch in (4, 5)] == [False, True]


def test_defaults_are_the_paper_s():
    fawa = create("averaging", "fawa")
    assert (fawa.decay, fawa.threshold, fawa.needs) == (0.85, 0.2, frozenset({"validation"}))


def test_fawa_without_validation_is_an_error(make_statistics: Statistics):
    with pytest.raises(PolicyError, match=r"averaging 'fawa' of plugin 'fairart': accepts\(\).*needs validation statistics"):
        create("averaging", "fawa", start_epoch=0).update(weights(1.0), make_statistics(COUNTS))


def test_state_round_trip(make_statistics: Statistics):
    averaging: Averaging = create("averaging", "ema", start_epoch=0)
    averaging.update(weights(1.0, 3), make_statistics(COUNTS))
    fresh: Averaging = create("averaging", "ema", start_epoch=0)
    fresh.load_state_dict(averaging.state_dict())
    for one in (averaging, fresh):
        one.update(weights(2.0, 4), make_statistics(COUNTS, epoch=1))
    assert fresh.accepted == 2
    for name, value in averaging.average.items():
        assert torch.equal(fresh.average[name], value)
        assert fresh.average[name] is not value


def test_an_empty_state_round_trip(make_statistics: Statistics):
    fresh: Averaging = create("averaging", "fawa")
    fresh.load_state_dict(create("averaging", "fawa").state_dict())
    assert (fresh.average, fresh.accepted) == (None, 0)
