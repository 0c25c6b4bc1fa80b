"""Extra images in every batch: how many, which, counted how, resumed and shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.engine import Checkpointing
from fairart.engine.data.extra import DataWithExtra
from fairart.engine.data.sources import batch_slices
from fairart.engine.loop import Engine
from fairart.errors import OptionError
from fairart.runs.config import RunConfig
from fairart.runs.run import train_run
from fairart.trainers import ATTrainer, CFOLTrainer, CSRTrainer


class Classifier:
    """What :class:`DataWithExtra` reads of a classifier."""

    clip_values = (0.0, 1.0)


def data(own: int, extra: int, share: float) -> DataWithExtra:
    def images(number: int, value: float) -> Any:
        return np.full((number, 1, 2, 2), value, dtype=np.float32), np.zeros(number, dtype=np.int64)

    return DataWithExtra(
        images(own, 0.0), images(extra, 1.0), share, classifier=Classifier(), device=torch.device("cpu"), dtype=torch.float32
    )


@given(st.integers(4, 60), st.integers(1, 80), st.floats(0.05, 0.95), st.integers(2, 20), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_every_batch_has_its_share_and_no_sample_of_the_training_set_comes_twice(
    own: int, extra: int, share: float, batch_size: int, seed: int
) -> None:
    made = data(own, extra, share)
    batches = batch_slices(len(made), batch_size)
    order = made.order(batches, torch.Generator().manual_seed(seed)).numpy()
    assert len(order) == len(made) == own
    for batch in batches:
        size = batch.stop - batch.start
        assert int((order[batch] >= own).sum()) == round(share * size)
    mine, theirs = order[order < own], order[order >= own]
    assert len(set(mine)) == len(mine)
    # Extra samples come again only after all of them were there.
    times = np.bincount(theirs - own, minlength=extra)
    assert times.max() - times.min() <= 1
    assert times.size == extra


def test_other_samples_come_in_every_epoch() -> None:
    made, generator = data(40, 40, 0.5), torch.Generator().manual_seed(0)
    batches = batch_slices(40, 10)
    first, second = (set(made.order(batches, generator).tolist()) for _ in range(2))
    assert first != second


def fit(trainer: Any, make_data: Any, **options: Any) -> Any:
    x, y = make_data(48)
    extra = make_data(90)
    chosen = {"batch_size": 10, "nb_epochs": 3, "seed": 0, "verbose": False, **options}
    trainer.fit(x, y, extra_data=extra, extra_share=0.6, **chosen)
    return trainer


def test_an_epoch_stays_as_long_and_counts_what_was_drawn(make_classifier: Any, make_data: Any, monkeypatch: Any) -> None:
    seen: list[int] = []
    step = Engine._step

    def look(self: Engine, samples: Any, *arguments: Any) -> None:
        seen.append(len(samples.y))
        step(self, samples, *arguments)

    monkeypatch.setattr(Engine, "_step", look)
    trainer = fit(ATTrainer(make_classifier(), max_iter=2, class_weighting="inverse-frequency"), make_data)
    assert sum(seen) == 3 * 48
    assert [record.robust.total for record in trainer.history] == [48] * 3
    # Class counts are those of the training set.
    assert trainer.method.class_weighting.class_counts.tolist() == [16, 16, 16]


def test_a_method_that_attacks_the_training_set_attacks_that_alone(make_classifier: Any, make_data: Any) -> None:
    trainer = CSRTrainer(make_classifier(), max_iter=2)
    found: list[int] = []
    keep = trainer.method.class_weighting.before_epoch
    trainer.method.class_weighting.before_epoch = lambda training: (found.append(training.total), keep(training))
    fit(trainer, make_data)
    assert found == [48] * 3


def test_a_run_stopped_within_an_epoch_goes_on_the_same(
    make_classifier: Any, make_data: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    class Stopped(BaseException):
        pass

    whole = fit(ATTrainer(make_classifier(), max_iter=2), make_data)
    steps, step = [], Engine._step

    def stop(self: Engine, *arguments: Any) -> None:
        steps.append(1)
        if len(steps) == 8:
            raise Stopped
        step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_step", stop)
        with pytest.raises(Stopped):
            fit(ATTrainer(make_classifier(), max_iter=2), make_data, checkpoint=Checkpointing(tmp_path, every_minutes=0.0))
    place = Checkpointing(tmp_path, every_minutes=0.0, resume=True)
    again = fit(ATTrainer(make_classifier(), max_iter=2), make_data, checkpoint=place)
    one, two = (trainer.get_classifier().model.state_dict() for trainer in (whole, again))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_uint8_images_and_floats_are_brought_together(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(48)
    bytes_of = (x * 255).round().astype(np.uint8)
    results = []
    for own, extra in ((x, bytes_of), (bytes_of.astype(np.float32) / 255, bytes_of)):
        trainer = ATTrainer(make_classifier(), max_iter=2)
        trainer.fit(own, y, extra_data=(extra, y), batch_size=8, nb_epochs=1, seed=0, verbose=False)
        results.append(trainer.history[0].loss)
    assert results[0] == pytest.approx(results[1], rel=0.05)


@pytest.mark.parametrize("share", [0.0, 1.0, -1, 2, True, float("nan"), "half"])
def test_a_share_outside_is_refused(share: Any, make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(8)
    with pytest.raises(ValueError, match="extra_share must lie between 0 and 1, got"):
        ATTrainer(make_classifier()).fit(x, y, extra_data=(x, y), extra_share=share, nb_epochs=1, verbose=False)


def test_what_does_not_fit_is_refused(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(8)
    with pytest.raises(ValueError, match=r"class_sampling 'cfol' .* draws them class by class"):
        CFOLTrainer(make_classifier()).fit(x, y, extra_data=(x, y), nb_epochs=1, verbose=False)
    with pytest.raises(ValueError, match="extra "):
        ATTrainer(make_classifier()).fit(x, y, extra_data=(x[:, :, :2], y), nb_epochs=1, verbose=False)


def test_a_run_takes_them_from_a_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)

    def write(name: str, shape: tuple[int, ...]) -> str:
        x, y = random.random((40, *shape)).astype(np.float32), np.arange(40) % 10
        # As generators write them: no test images.
        np.savez(tmp_path / name, x_train=x, y_train=y)
        return f"npz:{tmp_path / name}"

    settings: dict[str, Any] = {"trainer": "at", "per_class": 12, "epochs": 1, "max_iter": 2, "device": "cpu"}
    config = RunConfig(**settings, extra_data=write("extra.npz", (1, 8, 8)), extra_share=0.5)
    run = train_run(config, tmp_path / "run", verbose=False)
    assert run.history[0].robust.total == 120
    other = RunConfig(**settings, extra_data=write("other.npz", (3, 8, 8)))
    with pytest.raises(OptionError, match=r"extra_data: digits has images \(1, 8, 8\), .* has \(3, 8, 8\)"):
        train_run(other, tmp_path / "other", verbose=False)
    assert not (tmp_path / "other").exists()
    drawn = RunConfig(**settings, extra_data=f"npz:{tmp_path / 'extra.npz'}", class_sampling="balanced")
    with pytest.raises(ValueError, match=r"class_sampling 'balanced' .*draws them class by class"):
        train_run(drawn, tmp_path / "drawn", verbose=False)
    assert not (tmp_path / "drawn").exists()


def test_what_is_no_pair_and_a_share_of_nothing_are_named(make_classifier: Any, make_data: Any) -> None:
    x, y = make_data(8)
    with pytest.raises(ValueError, match=r"extra_data must be a pair \(x, y\), got ndarray"):
        ATTrainer(make_classifier()).fit(x, y, extra_data=x, nb_epochs=1, verbose=False)
    with pytest.raises(OptionError, match="extra_share is of extra_data, which is not given"):
        RunConfig(trainer="at", extra_share=0.5)
