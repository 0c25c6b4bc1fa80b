"""Co-teaching and self-training: who trains on what, against a loop written by hand, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fairart.engine.co_teaching import kept_share, smallest_losses, terms_of
from fairart.engine.loop import Engine
from fairart.engine.self_training import replaced_labels
from fairart.errors import OptionError
from fairart.policies.class_weightings.base import LossTerms
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run
from fairart.trainers import ATTrainer, CoTeachingTrainer, FairnessTrainer, SelfTrainingTrainer, StandardTrainer

FIT = {"batch_size": 12, "seed": 0, "verbose": False}


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def noisy(make_data: Any, n: int = 48, rate: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = make_data(n)
    random = np.random.default_rng(3)
    wrong = random.random(len(y)) < rate
    return x, np.where(wrong, (y + random.integers(1, 3, len(y))) % 3, y), wrong


def test_the_share_that_is_kept() -> None:
    assert [kept_share(epoch, 0.4, 4) for epoch in range(7)] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6])
    losses = torch.tensor([3.0, 1.0, 2.0, 1.0, 5.0])
    assert smallest_losses(losses, 0.6).tolist() == [1, 3, 2]
    assert smallest_losses(losses, 0.01).tolist() == [1]
    assert smallest_losses(losses, 1.0).tolist() == [1, 3, 2, 0, 4]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_no_loss_that_is_left_out_is_smaller(values: list[float], share: float) -> None:
    rows = smallest_losses(torch.tensor(values), share)
    assert len(rows) == max(1, int(share * len(values) + 1e-9))
    out = set(range(len(values))) - set(rows.tolist())
    assert len(set(rows.tolist())) == len(rows)
    assert max(torch.tensor(values)[rows]) <= min((torch.tensor(values)[row] for row in out), default=torch.tensor(1e9))


def test_terms_of_some_samples() -> None:
    terms = LossTerms(natural=torch.arange(4.0), adversarial_logits=torch.eye(4), boundary=torch.arange(4.0) * 2, beta=3.0)
    some = terms_of(terms, torch.tensor([2, 0]))
    assert some.total().tolist() == [14.0, 0.0]
    assert some.adversarial_logits.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert (some.beta, some.extra, some.extra_terms) == (3.0, None, 1)


class Plain(nn.Module):
    """Linear, so that a loop by hand is short; without batch-norm or dropout, and the same every time."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.linear = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


def by_hand(first: nn.Module, second: nn.Module, batches: list[list[tuple[Tensor, Tensor]]], rate: float, ramp: int) -> None:
    """Algorithm 1 of Han et al., in its own words: sort, exchange, step; SGD at 0.05."""
    for epoch, its in enumerate(batches):
        for x, y in its:
            losses = [F.cross_entropy(net(x), y, reduction="none") for net in (first, second)]
            kept = int((1 - rate * min(epoch / ramp, 1)) * len(y) + 1e-9)
            picked = [sorted(range(len(y)), key=lambda i, loss=loss: float(loss[i].detach()))[:kept] for loss in losses]
            for net, loss, other in ((first, losses[0], picked[1]), (second, losses[1], picked[0])):
                gradients = torch.autograd.grad(loss[other].mean(), list(net.parameters()))
                with torch.no_grad():
                    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                        parameter -= 0.05 * gradient


def test_co_teaching_is_the_algorithm_of_the_paper(make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, _ = noisy(make_data)
    model = Plain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    trainer = CoTeachingTrainer(make_classifier(model=model, optimizer=optimizer), noise_rate=0.5, ramp_epochs=2)
    starts: list[nn.Module] = []
    batches: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(4)]
    make = Engine._batch

    def watched(self: Any, samples: Any, epoch: int, meter: Any) -> Any:
        if not starts:
            assert trainer.second_network is not None
            starts.extend(copy.deepcopy([self.network.module, trainer.second_network]))
        batches[epoch].append((samples.x.clone(), samples.y.clone()))
        return make(self, samples, epoch, meter)

    monkeypatch.setattr(Engine, "_batch", watched)
    trainer.fit(x, y, nb_epochs=4, **FIT)
    first, second = starts
    assert not torch.equal(first.linear.weight, second.linear.weight)  # type: ignore[union-attr, arg-type]
    by_hand(first, second, batches, 0.5, 2)
    assert trainer.second_network is not None
    for expected, found in ((first, trainer.get_classifier().model), (second, trainer.second_network)):
        for name, value in expected.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("objective", ["standard", "at", "trades"])
def test_without_noise_to_leave_out_the_first_network_is_the_plain_one(
    objective: str, make_classifier: Any, make_data: Any
) -> None:
    """tau 0 keeps everything, so neither network hears of the other. One batch: after it the attacks draw other starts."""
    options = {"objective": objective, "eps": 0.1, "max_iter": 2}
    x, y = make_data(36)
    plain = FairnessTrainer(make_classifier(model=Plain()), **options)
    both = CoTeachingTrainer(make_classifier(model=Plain()), noise_rate=0.0, **options)
    for trainer in (plain, both):
        trainer.fit(x, y, nb_epochs=1, **{**FIT, "batch_size": 36})
    one, two = (trainer.get_classifier().model.linear.weight for trainer in (plain, both))
    torch.testing.assert_close(one, two)


def test_fewer_wrong_labels_are_learnt(make_classifier: Any, make_data: Any) -> None:
    x, y, wrong = noisy(make_data, 180)
    learnt = {}
    for trainer in (
        StandardTrainer(make_classifier()),
        CoTeachingTrainer(make_classifier(), noise_rate=0.4, ramp_epochs=2),
        SelfTrainingTrainer(make_classifier(), threshold=0.7, warm_up=2),
    ):
        trainer.fit(x, y, nb_epochs=20, **{**FIT, "batch_size": 30})
        learnt[type(trainer)] = (trainer.predict(x).argmax(1)[wrong] == y[wrong]).mean()
    assert learnt[CoTeachingTrainer] < learnt[StandardTrainer] - 0.1
    assert learnt[SelfTrainingTrainer] < learnt[StandardTrainer] - 0.1


def test_the_second_network_is_its_own_and_is_kept(make_classifier: Any, make_data: Any) -> None:
    trainer = CoTeachingTrainer(make_classifier())
    assert trainer.second_network is None
    x, y = make_data(36)
    trainer.fit(x, y, nb_epochs=1, **FIT)
    second = trainer.second_network
    assert second is not None
    first = {id(p) for p in trainer.get_classifier().model.parameters()}
    assert not first & {id(p) for p in second.parameters()}
    assert all(p.grad is None for p in second.parameters())
    before = weights(second)
    trainer.fit(x, y, nb_epochs=1, **FIT)
    assert trainer.second_network is second
    assert any(not torch.equal(before[name], value) for name, value in weights(second).items())
    # A copy goes on as the trainer does: its optimizer holds its own second network.
    twin = copy.deepcopy(trainer)
    for one in (trainer, twin):
        one.fit(x, y, nb_epochs=1, **FIT)
    assert twin.second_network is not second
    mine, its = weights(second), weights(twin.second_network)
    assert all(torch.equal(mine[name], its[name]) for name in mine)


def test_a_failed_fit_puts_both_networks_back(make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = CoTeachingTrainer(make_classifier())
    x, y = make_data(36)
    trainer.fit(x, y, nb_epochs=1, **FIT)
    assert trainer.second_network is not None
    kept = [weights(trainer.get_classifier().model), weights(trainer.second_network)]
    steps, tell = [0], Engine._tell_batch_end

    def failing(self: Any, *arguments: Any) -> None:
        steps[0] += 1
        if steps[0] == 3:
            raise RuntimeError("made to fail")
        tell(self, *arguments)

    monkeypatch.setattr(Engine, "_tell_batch_end", failing)
    with pytest.raises(RuntimeError, match="made to fail"):
        trainer.fit(x, y, nb_epochs=1, **FIT)
    for before, module in zip(kept, (trainer.get_classifier().model, trainer.second_network), strict=True):
        assert all(torch.equal(before[name], value) for name, value in weights(module).items())


def test_both_learning_rates_follow_the_scheduler(make_classifier: Any, make_data: Any) -> None:
    classifier = make_classifier()
    trainer = CoTeachingTrainer(classifier)
    scheduler = torch.optim.lr_scheduler.StepLR(classifier.optimizer, 1, gamma=0.1)
    trainer.fit(*make_data(36), nb_epochs=3, scheduler=scheduler, **FIT)
    assert trainer._peer is not None
    # That of the last epoch's steps.
    assert trainer._peer.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.01)


def test_what_has_one_network_is_refused(make_classifier: Any) -> None:
    with pytest.raises(ValueError, match=r"weight_perturbation: .*'awp' .* perturbs one network, and co-teaching trains two"):
        CoTeachingTrainer(make_classifier(), objective="at", weight_perturbation="awp")
    classifier = make_classifier()
    attack = FastGradientMethod(classifier, eps=0.1)
    with pytest.raises(ValueError, match="attack: FastGradientMethod attacks one classifier"):
        CoTeachingTrainer(classifier, objective="at", attack=attack)
    with pytest.raises(ValueError, match="noise_rate"):
        CoTeachingTrainer(make_classifier(), noise_rate=1.0)
    with pytest.raises(ValueError, match="two labels, and self-training replaces one"):
        SelfTrainingTrainer(make_classifier(), augmentation="mixup")
    with pytest.raises(ValueError, match="threshold"):
        SelfTrainingTrainer(make_classifier(), threshold=1.5)


def test_several_devices_are_refused_before_any_process_is_started(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="devices 2: co-teaching looks at whole batches and trains in one process"):
        train_run(RunConfig(trainer="co-teaching", devices=2, per_class=20), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Raw(nn.Module):
    """A model whose weights nothing draws anew."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight


def test_a_model_that_cannot_be_drawn_anew_is_refused(make_classifier: Any, make_data: Any) -> None:
    trainer = CoTeachingTrainer(make_classifier(model=Raw()))
    with pytest.raises(ValueError, match="no layer of the model has reset_parameters"):
        trainer.fit(*make_data(36), nb_epochs=1, **FIT)


def test_labels_are_replaced_where_the_network_is_sure() -> None:
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 9.0]])
    p = logits.softmax(dim=1).max(dim=1).values
    assert p[0] > 0.9 > p[1]
    labels, surest = replaced_labels(logits, torch.tensor([1, 1, 2]), 0.9)
    assert labels.tolist() == [0, 1, 2]
    assert surest == p[0]
    assert replaced_labels(logits, torch.tensor([0, 0, 2]), 0.9)[1] == 0


@pytest.mark.parametrize("objective", ["standard", "at"])
def test_self_training_trains_on_its_own_labels_after_the_warm_up(
    objective: str, make_classifier: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, _ = noisy(make_data)
    seen: list[tuple[int, Tensor, Tensor]] = []
    make = Engine._batch

    def watched(self: Any, samples: Any, epoch: int, meter: Any) -> Any:
        batch = make(self, samples, epoch, meter)
        seen.append((epoch, self._clean_logits(samples.x), batch.y.clone()))
        return batch

    monkeypatch.setattr(Engine, "_batch", watched)
    trainer = SelfTrainingTrainer(make_classifier(), objective=objective, threshold=0.45, warm_up=2, eps=0.05, max_iter=2)
    trainer.fit(x, y, nb_epochs=4, **FIT)
    given_counts = np.bincount(y, minlength=3)
    for record in trainer.history:
        its = [(logits, labels) for epoch, logits, labels in seen if epoch == record.epoch]
        trained = np.bincount(np.concatenate([labels.numpy() for _, labels in its]), minlength=3)
        if record.epoch < 2:
            assert record.relabelled is None
            assert "relabelled" not in record.to_dict()
            assert trained.tolist() == given_counts.tolist()
            continue
        for logits, labels in its:
            sure = logits.softmax(dim=1).max(dim=1).values >= 0.45
            assert torch.equal(labels[sure], logits.argmax(dim=1)[sure])
        assert record.relabelled is not None
        assert trained.tolist() == record.robust.support.tolist()
        # As many are moved as the classes they come from say.
        moved = float((record.relabelled * given_counts).sum())
        assert moved == pytest.approx(round(moved))
        assert moved >= np.abs(trained - given_counts).sum() / 2
    assert max(record.relabelled.max() for record in trainer.history[2:]) > 0


def test_half_of_the_run_is_the_warm_up(make_classifier: Any, make_data: Any) -> None:
    trainer = SelfTrainingTrainer(make_classifier())
    trainer.fit(*make_data(24), nb_epochs=5, **FIT)
    assert [record.relabelled is None for record in trainer.history] == [True, True, True, False, False]


def test_a_threshold_that_is_never_reached_is_plain_training(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(36)
    plain = ATTrainer(make_classifier(), eps=0.1, max_iter=2)
    own = SelfTrainingTrainer(make_classifier(), objective="at", eps=0.1, max_iter=2, threshold=1.0, warm_up=0)
    plain.fit(x, y, nb_epochs=5, **FIT)
    with pytest.warns(UserWarning, match=r"replaced no label: no prediction that contradicts a label was surer than 0\.\d\d"):
        own.fit(x, y, nb_epochs=5, **FIT)
    one, two = (weights(trainer.get_classifier().model) for trainer in (plain, own))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert all(record.relabelled.max() == 0 for record in own.history)
