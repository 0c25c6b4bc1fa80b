"""``batch_size: auto`` leaves no trace but its number, and a batch that does not fit is one error that says what would."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import fairart.plugins
from fairart.cli.main import main
from fairart.engine.loop import Engine
from fairart.errors import NotEnoughMemoryError, OptionError
from fairart.evaluation import remove_partial
from fairart.evaluation.running import trying
from fairart.runs import batch_size, build, evaluation_batch
from fairart.runs.config import RunConfig
from fairart.runs.evaluate_run import evaluate_run
from fairart.runs.folders import RunError
from fairart.runs.run import load_run, train_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
torch.set_num_threads(1)


def config(trainer: str = "fair-tat", **changes: Any) -> RunConfig:
    short = {"per_class": 12, "epochs": 2, "eps": 0.1, "eps_step": 0.05, "max_iter": 2, "device": "cpu", "averaging": "ema"}
    return RunConfig(trainer=trainer, **{**short, "batch_size": "auto", "options": {"model": {"width": 4}}, **changes})


@pytest.fixture(autouse=True)
def fresh_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairart.plugins.manager, "_manager", fairart.plugins.PluginManager(entry_points=False))


@pytest.fixture
def holds(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``holds(n)``: from now on there is memory for batches of so many samples; every step is computed all the same."""

    def limit(number: int) -> None:
        def held(self: Any, size: int, step: Any) -> bool:
            step(size)
            return size <= number

        for module in (batch_size, evaluation_batch):
            monkeypatch.setattr(module.Room, "holds", held)

    return limit


def history(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in one.items() if key not in ("seconds", "images_per_second")} for one in lines]


def test_the_run_is_that_of_the_number_bit_for_bit(tmp_path: Path, holds: Any, capsys: pytest.CaptureFixture[str]) -> None:
    holds(50)
    auto = train_run(config(), tmp_path / "auto", verbose=True)
    number = auto.config.batch_size
    assert 45 <= number <= 50
    said = capsys.readouterr().err
    assert f"batch_size auto: {number}, the most that fits into " in said
    assert said.count("The learning rate stays 0.1, it is not rescaled") == 1
    train_run(config(batch_size=number), tmp_path / "number", verbose=False)
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "auto" / name).read_bytes() == (tmp_path / "number" / name).read_bytes()
    assert history(tmp_path / "auto") == history(tmp_path / "number")
    # A config file that says so as well.
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**config().to_dict(), "epochs": 1}))
    assert RunConfig.load(tmp_path / "run.yaml").batch_size == "auto"


def test_the_trial_never_takes_more_than_the_data_or_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    step = batch_size.try_step
    monkeypatch.setattr(
        batch_size, "try_step", lambda trainer, x, y, size, **more: tried.append(size) or step(trainer, x, y, size, **more)
    )
    chosen = config(per_class=7)
    data = build.build_dataset(chosen)
    assert batch_size.found(chosen, data, device="cpu").batch_size == max(tried) == 70
    monkeypatch.setitem(batch_size.MOST, "cpu", 24)
    assert batch_size.found(chosen, data, device="cpu").batch_size == 24
    # Of several processes each takes its part.
    tried.clear()
    assert batch_size.found(dataclasses.replace(chosen, devices=2), data, device="cpu").batch_size == 48
    assert max(tried) == 24
    assert batch_size.found(dataclasses.replace(chosen, batch_size=128), data, device="cpu").batch_size == 128


def test_all_processes_take_the_number_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = config(per_class=4, devices=2)
    data = build.build_dataset(chosen)

    class Fabric:
        def __init__(self, rank: int, answer: Any) -> None:
            self.global_rank, self.answer = rank, answer

        def broadcast(self, value: Any, src: int) -> Any:
            return value if self.global_rank == src else self.answer

    monkeypatch.setattr(batch_size, "_tried", lambda *arguments, **options: 36)
    assert batch_size.found(chosen, data, device="cpu", fabric=Fabric(0, None)).batch_size == 36

    def refused(*arguments: Any, **options: Any) -> int:
        raise NotEnoughMemoryError("not even 2")

    # The others are told, and do not wait for ever.
    monkeypatch.setattr(batch_size, "_tried", refused)
    assert batch_size.found(chosen, data, device="cpu", fabric=Fabric(1, (36, None))).batch_size == 36
    with pytest.raises(NotEnoughMemoryError, match="not even 2"):
        batch_size.found(chosen, data, device="cpu", fabric=Fabric(0, None))
    with pytest.raises(RuntimeError, match="the first process found no batch size: not even 2"):
        batch_size.found(chosen, data, device="cpu", fabric=Fabric(1, (None, "not even 2")))


def test_a_resumed_run_keeps_its_number_whatever_fits_now(tmp_path: Path, holds: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    holds(40)
    chosen, stop = config(), NotImplementedError("the power went off")
    epoch = Engine._epoch

    def fails_at_1(self: Engine, source: Any, current: Any, *arguments: Any) -> Any:
        if current.epoch == 1 and arguments[2].total > 1:
            raise stop
        return epoch(self, source, current, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_epoch", fails_at_1)
        with pytest.raises(NotImplementedError):
            train_run(chosen, tmp_path / "a", verbose=False)
    number = RunConfig.load(tmp_path / "a" / "config.yaml").batch_size
    holds(8)
    resumed = train_run(chosen, tmp_path / "a", resume=True, verbose=False)
    assert resumed.config.batch_size == number
    train_run(config(batch_size=number), tmp_path / "b", verbose=False)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match=f"batch_size was {number}, is 8"):
        train_run(config(batch_size=8), tmp_path / "a", resume=True, verbose=False)


def test_nothing_that_fits_is_one_clear_error(tmp_path: Path, holds: Any) -> None:
    holds(0)
    with pytest.raises(
        NotEnoughMemoryError, match=r"^batch_size 'auto': not even a batch of 2 fits into .* of free memory: take"
    ):
        train_run(config(), tmp_path / "a", verbose=False)
    assert not (tmp_path / "a").exists()


def test_the_rate_of_a_network_that_scales_it_does_not_follow_the_memory() -> None:
    usual = RunConfig(trainer="at", model="xcit-s12", batch_size=128)
    assert RunConfig(trainer="at", model="xcit-s12", batch_size="auto").lr == usual.lr
    assert RunConfig(trainer="at", batch_size="auto").lr == RunConfig(trainer="at").lr
    with pytest.raises(OptionError, match=r"batch_size expects int or 'auto', got 'most'"):
        RunConfig(trainer="at", batch_size="most")
    with pytest.raises(OptionError, match=r"batch_size must be >= 1, got 0"):
        RunConfig(trainer="at", batch_size=0)


@pytest.fixture
def takes_too_much(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``takes_too_much(n)``: from the second epoch on a step of more than n samples raises what torch raises on a GPU."""
    step = Engine._step

    def install(number: int) -> None:
        def limited(self: Engine, samples: Any, epoch: int, meter: Any) -> None:
            if epoch >= 1 and len(samples.y) > number:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            step(self, samples, epoch, meter)

        monkeypatch.setattr(Engine, "_step", limited)

    return install


def test_a_batch_that_does_not_fit_says_what_would_and_what_is_kept(tmp_path: Path, takes_too_much: Any) -> None:
    takes_too_much(30)
    with pytest.raises(NotEnoughMemoryError) as caught:
        train_run(config(batch_size=60), tmp_path / "a", verbose=False)
    message, folder = str(caught.value), tmp_path / "a"
    assert message.startswith("batch 60 does not fit into the ")
    fits = int(message.split("; ")[1].split()[0])
    assert 27 <= fits <= 30
    assert f"; {fits} would: --batch-size {fits} or auto. What was trained is kept" in message
    assert message.endswith(f"resume with: fairart train --resume --output {folder}")
    assert len(history(folder)) == 1
    # It goes on from there.
    takes_too_much(1000)
    train_run(config(batch_size=60), folder, resume=True, verbose=False)
    train_run(config(batch_size=60), tmp_path / "b", verbose=False)
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_the_command_line_says_it_in_one_line(tmp_path: Path, takes_too_much: Any, capsys: pytest.CaptureFixture[str]) -> None:
    takes_too_much(30)
    short = ["--per-class", "12", "--epochs", "2", "--max-iter", "2", "--device", "cpu", "--set", "model.width=4"]
    code = main(["train", "at", "--dataset", "digits", *short, "--batch-size", "60", "--output", str(tmp_path / "a"), "--quiet"])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("fairart: error: batch 60 does not fit into the ")


def test_in_one_of_several_processes_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_size, "largest", lambda *arguments, **options: pytest.fail("a trial"))
    failed, chosen = NotEnoughMemoryError("batch 60 does not fit", batch_size=60), config(batch_size=60)
    data = build.build_dataset(chosen)
    found = batch_size.explained(failed, chosen, data, tmp_path, device="cpu", processes=2)
    assert str(found) == "batch 60 does not fit; take a smaller one: --batch-size auto finds it"
    # Memory that ran out elsewhere is no matter of the batch.
    other = batch_size.explained(MemoryError("8 GiB\nfor an array"), chosen, data, tmp_path, device="cpu", processes=1)
    assert str(other).startswith(
        "memory ran out outside of the training steps: MemoryError: 8 GiB. Free some, or keep images on disk"
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "at"
    train_run(config("at", batch_size=60, averaging=None), folder, verbose=False)
    return folder


def test_an_evaluation_finds_its_batch_and_says_it(trained: Path, holds: Any, capsys: pytest.CaptureFixture[str]) -> None:
    holds(50)
    run = load_run(trained)
    before = {name: value.clone() for name, value in run.classifier.model.state_dict().items()}
    random = torch.get_rng_state()
    images = run.classifier, run.dataset.x_test[:200], run.dataset.y_test[:200]
    number = evaluation_batch.found("auto", *images, trained, device="cpu", verbose=True)
    assert 45 <= number <= 50
    assert capsys.readouterr().err.startswith(f"fairart: batch_size auto: {number}, the most that fits into ")
    assert all(torch.equal(before[name], value) for name, value in run.classifier.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    result = evaluate_run(trained, ("pgd",), batch_size="auto", limit=120, sanity_samples=0, verbose=False)
    assert result.config["batch_size"] == number
    fixed = evaluate_run(trained, ("pgd",), batch_size=number, limit=120, sanity_samples=0, verbose=False)
    assert np.array_equal(result["pgd"].predictions, fixed["pgd"].predictions)


def test_an_interrupted_evaluation_goes_on_with_its_batch(
    trained: Path, holds: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holds(50)
    options: dict[str, Any] = {"batch_size": "auto", "limit": 120, "sanity_samples": 0}
    with monkeypatch.context() as patch:
        patch.setattr("fairart.evaluation.running.runner.Runner._perturb", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_run(trained, ("pgd",), **options, verbose=False)
    holds(60)
    result = evaluate_run(trained, ("pgd",), **options)
    assert 45 <= result.config["batch_size"] <= 50
    assert ", that of the interrupted evaluation" in capsys.readouterr().err
    # What no longer fits is looked for anew; what was kept of the other size is discarded, which is said.
    with monkeypatch.context() as patch:
        patch.setattr("fairart.evaluation.running.runner.Runner._perturb", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate_run(trained, ("pgd",), **options, verbose=False)
    holds(20)
    with pytest.warns(UserWarning, match="belongs to another evaluation.*batch size"):
        result = evaluate_run(trained, ("pgd",), **options, verbose=False)
    assert 18 <= result.config["batch_size"] <= 20
    remove_partial(trained / "evaluation.partial")


def test_an_evaluation_that_does_not_fit_says_what_would(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fairart.evaluation.attacks import descent

    def limited(original: Any, number: int) -> Any:
        def called(model: Any, x: Any, *arguments: Any, **options: Any) -> Any:
            if len(x) > number:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes.")
            return original(model, x, *arguments, **options)

        return called

    monkeypatch.setattr(trying, "pgd", limited(trying.pgd, 30))
    monkeypatch.setattr("fairart.evaluation.attacks.pgd.descend", limited(descent.descend, 30))
    code = main(["evaluate", str(trained), "--batch-size", "64", "--limit", "100", "--sanity-samples", "0", "--quiet"])
    said = capsys.readouterr().err
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith("fairart: error: batch 64 does not fit into the ")
    fits = int(said.split("; ")[1].split()[0])
    assert 27 <= fits <= 30
    assert f"; {fits} would: --batch-size {fits} or auto. What was finished is kept: with more memory the same" in said
    remove_partial(trained / "evaluation.partial")


def test_flags_are_checked(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(trained), "--batch-size", "most"]) == 2
    assert "--batch-size: expects a whole number >= 1 or auto, got 'most'" in capsys.readouterr().err


def test_a_grid_compares_runs_of_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = {"base": {"dataset": "digits", "batch_size": "auto", "epochs": 1}, "methods": ["at"]}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    assert main(["benchmark", str(tmp_path / "grid.yaml"), "--output", str(tmp_path / "out"), "--dry-run"]) == 2
    assert "batch_size 'auto' depends on the machine" in capsys.readouterr().err
