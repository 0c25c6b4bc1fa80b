"""A fit that is refused or crashes leaves the classifier as it was, or as the last whole epoch left it, and says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairart import create
from fairart.engine import CheckpointError, Checkpointing
from fairart.objectives import ATObjective
from fairart.trainers import ATTrainer, FairnessTrainer, StandardTrainer

Make = Callable[..., Any]


class FailsAt(ATObjective):
    """Raises in one batch of the run."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch
        self.clear: list[bool] = []

    def losses(self, network: Any, batch: Any, examples: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.clear.append(all(parameter.grad is None for parameter in network.parameters()))
        return super().losses(network, batch, examples)


def notes(error: BaseException) -> str:
    return " ".join(getattr(error, "__notes__", []))


def test_before_the_first_epoch_ends_nothing_changed(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    classifier = make_classifier()
    before = weights_of(classifier)
    with pytest.raises(KeyboardInterrupt) as caught:
        FairnessTrainer(classifier, objective=FailsAt(2)).fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    assert same_weights(weights_of(classifier), before)
    assert not classifier.optimizer.state_dict()["state"]
    assert "as it was before this fit" in notes(caught.value)


def test_later_it_holds_the_last_whole_epoch(make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make):
    whole = make_classifier()
    FairnessTrainer(whole, objective=ATObjective()).fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    classifier = make_classifier()
    trainer = FairnessTrainer(classifier, objective=FailsAt(7))
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=4, seed=0, verbose=False)
    assert same_weights(weights_of(classifier), weights_of(whole))
    assert len(trainer.history) == 2
    assert "the weights of epoch 1 (from 0), the last whole one" in notes(caught.value)


def averaged(classifier: Any, objective: Any = "at") -> FairnessTrainer:
    return FairnessTrainer(
        classifier, objective=objective, averaging=create("averaging", "ema", decay=0.5, start_epoch=0), max_iter=1
    )


def test_with_averaging_it_holds_the_average_of_the_whole_epochs(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make
):
    whole, classifier = make_classifier(), make_classifier()
    averaged(whole).fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    trainer = averaged(classifier, FailsAt(7))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=4, seed=0, verbose=False)
    assert same_weights(weights_of(classifier), weights_of(whole))
    assert trainer.raw_weights is not None


def test_a_second_fit_that_is_refused_keeps_the_averaged_weights(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make, tmp_path: Path
):
    classifier = make_classifier()
    StandardTrainer(make_classifier()).fit(
        *make_data(24), batch_size=8, nb_epochs=1, seed=9, verbose=False, checkpoint=Checkpointing(tmp_path)
    )
    trainer = averaged(classifier)
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    before, raw = weights_of(classifier), dict(trainer.raw_weights)
    with pytest.raises(CheckpointError, match="another fit") as caught:
        trainer.fit(
            *make_data(24), batch_size=8, nb_epochs=1, seed=0, verbose=False, checkpoint=Checkpointing(tmp_path, resume=True)
        )
    assert same_weights(weights_of(classifier), before)
    assert same_weights(trainer.raw_weights, raw)
    assert "as it was before this fit" in notes(caught.value)
    trainer.fit(*make_data(24), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert len(trainer.history) == 3


def test_start_weights_are_still_there_for_the_next_try(
    make_classifier: Make, make_data: Make, weights_of: Make, same_weights: Make, tmp_path: Path
):
    from safetensors.torch import save_file

    start = {name: value.clone() for name, value in make_classifier().model.state_dict().items()}
    start["linear.bias"] += 5
    save_file(start, tmp_path / "start.safetensors")
    objective = FailsAt(0)
    classifier = make_classifier(lr=0.0)
    trainer = FairnessTrainer(classifier, objective=objective, warm_start=tmp_path / "start.safetensors")
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*make_data(8), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert float(classifier.model.linear.bias.abs().max()) < 5
    objective.left = 10
    trainer.fit(*make_data(8), batch_size=8, nb_epochs=1, seed=0, verbose=False)
    assert torch.equal(classifier.model.linear.bias, start["linear.bias"])


@pytest.mark.parametrize("fails", [False, True])
def test_no_gradient_is_left_also_of_parameters_that_are_not_trained(
    fails: bool, make_classifier: Make, make_data: Make, make_model: Make
):
    model = make_model()
    optimizer = torch.optim.SGD(model.linear.parameters(), lr=0.1)
    trainer = FairnessTrainer(make_classifier(model=model, optimizer=optimizer), objective=FailsAt(3 if fails else 99))
    if fails:
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
    else:
        trainer.fit(*make_data(24), batch_size=8, nb_epochs=2, seed=0, verbose=False)
        # Gradients of different batches do not add up.
        assert trainer.method.objective.clear == [True] * 6
    assert all(p.grad is None for p in model.parameters())


class TestHoldOut:
    def fawa(self, classifier: Any) -> ATTrainer:
        return ATTrainer(classifier, averaging="fawa", hold_out=0.25, max_iter=1)

    @pytest.mark.filterwarnings("ignore:weight averaging took in none:UserWarning")
    def test_a_second_fit_on_the_same_data_holds_out_the_same(self, make_classifier: Make, make_data: Make):
        trainer, data = self.fawa(make_classifier()), make_data(60)
        rows = []
        for seed in (0, 1, 2):
            trainer.fit(*data, batch_size=20, nb_epochs=1, seed=seed, verbose=False)
            rows.append(tuple(trainer._hold_out_of[2]))
        assert rows[0] == rows[1] == rows[2]
        assert len(rows[0]) == 15

    @pytest.mark.filterwarnings("ignore:weight averaging took in none:UserWarning")
    def test_other_data_gets_a_warning(self, make_classifier: Make, make_data: Make):
        trainer = self.fawa(make_classifier())
        trainer.fit(*make_data(60), batch_size=20, nb_epochs=1, seed=0, verbose=False)
        with pytest.warns(UserWarning, match="other validation samples are held out"):
            trainer.fit(*make_data(60, seed=1), batch_size=20, nb_epochs=1, seed=0, verbose=False)
