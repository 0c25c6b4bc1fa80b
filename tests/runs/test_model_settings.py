"""What a run trains with where it names no optimizer, learning rate or schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fairart.errors import OptionError
from fairart.runs import model_settings
from fairart.runs.config import RunConfig
from fairart.runs.optimising import build_optimizer

NAMES = ("optimizer", "lr", "weight_decay", "momentum", "schedule", "warmup_epochs", "batch_size")
GENERAL = ("sgd", 0.1, 5e-4, 0.9, "multistep", 0.0, 128)
XCIT = ("adamw", 1.25e-4, 0.05, None, "cosine", 5.0, 128)


def settings(**given: Any) -> tuple[Any, ...]:
    config = RunConfig.from_mapping({"trainer": "at", **given})
    assert RunConfig(**{"trainer": "at", **given}) == config or "recipe" in given
    assert RunConfig.from_mapping(config.to_dict()) == config
    return tuple(getattr(config, name) for name in NAMES)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, GENERAL),
        ({"optimizer": "adamw"}, ("adamw", 1e-3, 0.01, None, "multistep", 0.0, 128)),
        ({"optimizer": "adamw", "lr": 0.5}, ("adamw", 0.5, 0.01, None, "multistep", 0.0, 128)),
        ({"model": "xcit-s12"}, XCIT),
        ({"model": "xcit-s12", "epochs": 100, "batch_size": 256}, ("adamw", 2.5e-4, 0.05, None, "cosine", 5.0, 256)),
        ({"model": "xcit-s12", "epochs": 1}, (*XCIT[:5], 0.25, 128)),
        ({"model": "xcit-s12", "optimizer": "adamw"}, XCIT),
        ({"model": "xcit-s12", "lr": 1e-3}, ("adamw", 1e-3, *XCIT[2:])),
        ({"model": "xcit-s12", "schedule": "onecycle"}, (*XCIT[:4], "onecycle", 0.0, 128)),
        ({"model": "xcit-s12", "schedule": "constant"}, (*XCIT[:4], "constant", 5.0, 128)),
        ({"model": "xcit-s12", "warmup_epochs": 0}, (*XCIT[:5], 0.0, 128)),
        ({"model": "xcit-s12", "optimizer": "sgd"}, GENERAL),
        ({"model": "xcit-s12", "momentum": 0.8}, ("sgd", 0.1, 5e-4, 0.8, "multistep", 0.0, 128)),
        # The publication of a method is one of SGD: that of the network goes first.
        ({"model": "xcit-s12", "recipe": "paper", "dataset": "cifar10"}, XCIT),
        ({"model": "xcit-s12", "recipe": "paper", "dataset": "cifar10", "optimizer": "sgd"}, GENERAL),
        ({"optimizer": "adamw", "recipe": "paper", "dataset": "cifar10"}, ("adamw", 1e-3, 0.01, None, "multistep", 0.0, 128)),
    ],
)
def test_settings_that_are_not_given(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert settings(**given) == expected


def test_milestones_of_a_recipe_go_with_its_schedule_alone() -> None:
    given = {"trainer": "dafa", "recipe": "paper", "dataset": "cifar10"}
    assert RunConfig.from_mapping(given).lr_milestones == (100 / 110, 105 / 110)
    assert RunConfig.from_mapping({**given, "schedule": "cosine"}).lr_milestones == (0.5, 0.75)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": "adamw", "momentum": 0.9}, "momentum is a setting of SGD and would go unused with adamw"),
        (
            {"schedule": "cosine", "lr_milestones": "0.3"},
            "lr_milestones are those of .* multistep and would go unused with cosine",
        ),
        ({"schedule": "constant", "lr_milestones": [0.3]}, "would go unused with constant"),
        ({"optimizer": "rmsprop"}, "optimizer expects one of 'sgd', 'adamw', got 'rmsprop'"),
        ({"optimizer": ["sgd"]}, "optimizer expects str"),
        ({"model": "xcit-s12", "epochs": "many"}, "epochs expects int"),
        ({"model": "xcit-s12", "epochs": 0}, "epochs must be >= 1"),
        ({"model": 3}, "model expects str"),
    ],
)
def test_what_would_go_unused_or_is_no_setting_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RunConfig.from_mapping({"trainer": "at", **given})
    assert RunConfig.from_mapping({"trainer": "at", "schedule": "cosine", "lr_milestones": "none"}).lr_milestones == ()


def test_the_optimizer_has_the_settings_and_torchs_own_betas() -> None:
    config = RunConfig(trainer="at", model="xcit-s12")
    group = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1.25e-4, 0.05, (0.9, 0.999))


def test_what_comes_from_a_publication_is_said() -> None:
    said = model_settings.published(RunConfig(trainer="at", model="xcit-s12", lr=1e-3))
    assert said is not None
    assert said.startswith(
        "xcit-s12 trains by its own recipe: optimizer adamw, weight_decay 0.05, schedule cosine, warmup_epochs 5"
    )
    assert "NeurIPS 2021" in said
    assert model_settings.published(RunConfig(trainer="at", model="xcit-s12", optimizer="sgd")) is None
    assert model_settings.published(RunConfig(trainer="at")) is None


def test_a_run_says_it_writes_it_and_resumes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fairart.cli.main import main

    own = model_settings.ModelSettings(
        source="a test",
        settings={"optimizer": "adamw", "weight_decay": 0.1, "schedule": "cosine"},
        rate=0.001,
        warm_up=0.5,
    )
    monkeypatch.setitem(model_settings.MODELS, "small-cnn", own)
    command = ["train", "standard", "--per-class", "12", "--epochs", "2", "--device", "cpu", "--output", str(tmp_path / "a")]
    assert main(command) == 0
    assert "fairart: small-cnn trains by its own recipe: optimizer adamw, weight_decay 0.1" in capsys.readouterr().err
    config = RunConfig.load(tmp_path / "a" / "config.yaml")
    assert (config.optimizer, config.lr, config.schedule, config.warmup_epochs, config.momentum) == (
        "adamw",
        0.128,
        "cosine",
        0.5,
        None,
    )
    assert main([*command, "--resume"]) == 0
    assert main([*command[:-1], str(tmp_path / "b"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
