"""A batch in micro-batches trains what the whole batch does, in the memory of a micro-batch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fairart.engine import CheckpointError, Checkpointing
from fairart.engine.accumulation import micro_batch_size, micro_slices
from fairart.errors import OptionError, PolicyError
from fairart.policies import ClassWeighting
from fairart.runs.config import RunConfig
from fairart.trainers import ATTrainer, CoTeachingTrainer, FairnessTrainer, SelfTrainingTrainer, TRADESTrainer

sys.path.insert(0, str(Path(__file__).parent))
import shared_runs

Make = Callable[..., Any]


@pytest.mark.filterwarnings("ignore:weight averaging took in none")
@pytest.mark.parametrize("method", shared_runs.RUNS)
def test_every_method_trains_what_it_does_without(method: str) -> None:
    # Batches of 50 in pieces of 12 and 13, one of 30 in three of 10; the second epoch has the first one's plan.
    whole = shared_runs.train(None, method, torch.float64, 2)
    pieces = shared_runs.train(None, method, torch.float64, 2, gradient_accumulation_steps=4)
    shared_runs.assert_alike(whole, pieces, tolerance=1e-9)


@pytest.mark.parametrize("weighting", ["uniform", "cvar", "group-dro", "faal"])
def test_the_gradient_of_one_step_is_that_of_the_whole_batch(weighting: str) -> None:
    def step(**more: Any) -> dict[str, Any]:
        weights: dict[str, Any] = shared_runs.train(
            None, "trades", torch.float64, 1, batch_size=230, class_weighting=weighting, **more
        )["weights"]
        return weights

    whole, other = step(), step(gradient_accumulation_steps=9)
    for name, value in whole.items():
        np.testing.assert_allclose(other[name], value, rtol=0, atol=1e-14)


def test_self_training_and_its_clean_predictions(make_data: Make) -> None:
    def trained(steps: int) -> dict[str, Tensor]:
        classifier = shared_runs.make_classifier(torch.float64, seed=0)
        trainer = SelfTrainingTrainer(
            classifier, objective="standard", threshold=0.2, warm_up=6, gradient_accumulation_steps=steps
        )
        x, y = make_data(80, 10)
        # Every eighth label is wrong.
        trainer.fit(x, np.where(np.arange(80) % 8 == 0, (y + 1) % 10, y), batch_size=20, nb_epochs=8, seed=0, verbose=False)
        assert trainer.history[-1].relabelled is not None
        assert trainer.history[-1].relabelled.any()
        state: dict[str, Tensor] = classifier.model.state_dict()
        return state

    for mine, theirs in zip(trained(1).values(), trained(3).values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@given(st.integers(2, 500), st.integers(2, 200))
def test_micro_batches_cover_the_batch_in_few_even_pieces(number: int, largest: int) -> None:
    slices = micro_slices(number, largest)
    sizes = [one.stop - one.start for one in slices]
    assert [row for one in slices for row in range(one.start, one.stop)] == list(range(number))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    # Three samples, and odd numbers in twos, cannot be cut without a piece of one.
    assert max(sizes) <= max(largest, 3)
    assert len(sizes) == min(-(-number // largest), number // 2)


def test_the_batch_size_is_that_of_a_step() -> None:
    assert micro_batch_size(128, 1, 1) is None
    assert micro_batch_size(128, 1, 3) == 43
    assert micro_batch_size(128, 2, 4) == 16
    assert micro_batch_size(101, 2, 3) == 17


def sizes_of_passes(model: nn.Module) -> list[int]:
    seen: list[int] = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    return seen


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        pytest.param({}, 3, id="two steps of the attack and one of training"),
        pytest.param({"class_weighting": "cvar"}, 4, id="losses of the whole batch first"),
        pytest.param({"loss_scale": "mean-one"}, 4, id="scale of the whole batch first"),
        pytest.param({"weight_perturbation": "awp"}, 4, id="awp has a pass of its own"),
        pytest.param({"target_sampler": "runner-up", "clean_statistics": True}, 5, id="clean predictions twice"),
    ],
)
def test_no_pass_of_training_is_larger_than_a_micro_batch(
    options: dict[str, Any], passes: int, make_classifier: Make, make_data: Make
) -> None:
    classifier = make_classifier()
    trainer = FairnessTrainer(classifier, max_iter=2, gradient_accumulation_steps=3, **options)
    x, y = make_data(40)
    seen = sizes_of_passes(classifier.model)
    trainer.fit(x, y, validation_data=(x[:20], y[:20]), batch_size=20, nb_epochs=1, seed=0, verbose=False)
    assert max(seen) == 7
    # Clean, two steps and a prediction on the validation data, beside the passes of training.
    assert sum(seen) == 40 * passes + 4 * 20


@pytest.mark.parametrize("options", [{"class_weighting": "cvar"}, {"weight_perturbation": "awp"}], ids=["cvar", "awp"])
def test_batch_norm_sees_every_micro_batch_once(options: dict[str, Any], make_classifier: Make, make_data: Make) -> None:
    def tracked(**more: Any) -> tuple[int, Tensor]:
        classifier = make_classifier(lr=0.0)
        trainer = FairnessTrainer(classifier, max_iter=1, on_overfitting="ignore", gradient_accumulation_steps=2, **more)
        trainer.fit(*make_data(32), batch_size=16, nb_epochs=1, seed=0, verbose=False)
        return int(classifier.model.norm.num_batches_tracked), classifier.model.norm.running_mean

    plain, mean = tracked()
    number, other = tracked(**options)
    assert number == plain
    # AWP takes the pass that trains at other weights.
    if "weight_perturbation" not in options:
        torch.testing.assert_close(other, mean, rtol=0, atol=0)


def test_the_second_look_at_a_micro_batch_has_the_same_dropout(make_data: Make) -> None:
    def trained(**options: Any) -> list[Tensor]:
        classifier = shared_runs.make_classifier(torch.float64, seed=0)
        classifier.model.insert(2, nn.Dropout(0.5))
        trainer = ATTrainer(classifier, max_iter=2, gradient_accumulation_steps=3, **options)
        trainer.fit(*make_data(36, 10), batch_size=18, nb_epochs=2, seed=0, verbose=False)
        return list(classifier.model.state_dict().values())

    # The coefficients of AT sum to 1 as it is: the scale changes nothing but the way there.
    once, twice = trained(), trained(loss_scale="mean-one")
    for mine, theirs in zip(once, twice, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


class Normalised(ClassWeighting):
    """Sums over the batch, and does not say so."""

    def combine(self, terms: Any, labels: Tensor) -> Tensor:
        total = terms.total()
        return (total / self.all_reduce(total.detach().sum())).sum()


class NormalisedAndSaid(Normalised):
    looks_across_batch = True


def test_a_weighting_that_looks_across_the_batch_must_say_so(make_data: Make) -> None:
    def trained(weighting: ClassWeighting, steps: int) -> list[Tensor]:
        classifier = shared_runs.make_classifier(torch.float64, seed=0)
        trainer = ATTrainer(classifier, class_weighting=weighting, max_iter=2, gradient_accumulation_steps=steps)
        trainer.fit(*make_data(36, 10), batch_size=18, nb_epochs=1, seed=0, verbose=False)
        return list(classifier.model.state_dict().values())

    with pytest.raises(PolicyError, match=r"Normalised.*set looks_across_batch = True"):
        trained(Normalised(), 2)
    for mine, theirs in zip(trained(Normalised(), 1), trained(NormalisedAndSaid(), 4), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_stopped_and_resumed_it_is_the_uninterrupted_run(
    tmp_path: Path, make_classifier: Make, make_data: Make, stop_after: Any, same_weights: Any, weights_of: Any
) -> None:
    from resuming import Stopped

    def fit(classifier: Any, checkpoint: Checkpointing | None, steps: int = 3) -> None:
        options = {"class_weighting": "group-dro", "averaging": "ema", "weight_perturbation": "awp"}
        trainer = TRADESTrainer(classifier, max_iter=2, gradient_accumulation_steps=steps, **options)
        trainer.fit(*make_data(40), batch_size=16, nb_epochs=3, seed=0, verbose=False, checkpoint=checkpoint)

    whole, stopped, resumed = make_classifier(), make_classifier(), make_classifier()
    fit(whole, None)
    stop_after(4)
    with pytest.raises(Stopped):
        fit(stopped, Checkpointing(tmp_path, every_minutes=0))
    stop_after(None)
    with pytest.raises(CheckpointError, match="gradient_accumulation_steps was 3, is nothing"):
        fit(make_classifier(), Checkpointing(tmp_path, resume=True), steps=1)
    fit(resumed, Checkpointing(tmp_path, resume=True))
    assert same_weights(weights_of(whole), weights_of(resumed))


def test_in_bfloat16_it_stays_close_to_the_whole_batch(make_data: Make) -> None:
    def trained(steps: int) -> list[Tensor]:
        classifier = shared_runs.make_classifier(torch.float32, seed=0)
        trainer = ATTrainer(classifier, max_iter=2, precision="bf16-mixed", gradient_accumulation_steps=steps)
        trainer.fit(*make_data(40, 10), batch_size=20, nb_epochs=1, seed=0, verbose=False)
        return list(classifier.model.state_dict().values())

    for mine, theirs in zip(trained(1), trained(4), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", True])
def test_a_number_of_steps_that_makes_no_sense_is_refused(value: Any, make_classifier: Make) -> None:
    with pytest.raises(OptionError, match="gradient_accumulation_steps"):
        ATTrainer(make_classifier(), gradient_accumulation_steps=value)
    with pytest.raises(OptionError, match="gradient_accumulation_steps"):
        RunConfig(trainer="at", gradient_accumulation_steps=value)


def test_a_batch_too_small_for_its_micro_batches_is_refused(make_classifier: Make, make_data: Make) -> None:
    trainer = ATTrainer(make_classifier(), gradient_accumulation_steps=4)
    with pytest.raises(ValueError, match="batch_size must be at least 2 samples for each of the 4 micro-batches, got 7"):
        trainer.fit(*make_data(24), batch_size=7, nb_epochs=1, verbose=False)


def test_co_teaching_names_why_it_cannot(make_classifier: Make) -> None:
    with pytest.raises(ValueError, match=r"co-teaching chooses samples of the whole batch.*gradient_accumulation_steps=1, got 2"):
        CoTeachingTrainer(make_classifier(), gradient_accumulation_steps=2)
