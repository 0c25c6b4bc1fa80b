"""``--recipe paper``: the settings of a publication, as the documentation has them, under what the user gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from fairart import create
from fairart.datasets import Dataset
from fairart.errors import OptionError
from fairart.plugins import PluginManager
from fairart.policies.class_weightings.dafa import DAFA_SHARE
from fairart.policies.warm_up import CFA_SHARE, past_warm_up
from fairart.runs import build
from fairart.runs.build import build_trainer
from fairart.runs.config import RunConfig
from fairart.runs.optimising import Schedule, build_optimizer
from fairart.runs.recipes import RECIPES, recipe_of
from fairart.runs.run import train_run

METHODS = list(PluginManager(entry_points=False).registered("trainer"))
FINE_TUNED = {"frl", "faal", "csr"}
TEXT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")


def value_of(text: str) -> Any:
    """A value as the table writes it."""
    if "/" in text and " " not in text:
        numerator, denominator = map(float, text.split("/"))
        return numerator / denominator
    try:
        return float(text)
    except ValueError:
        return text


def documented() -> dict[str, tuple[dict[str, str], str, str, str]]:
    """Method -> settings as text, data sets, source, what is missing."""
    table = TEXT.partition("## Recipes")[2].partition("\n## ")[0]
    found = {}
    for name, settings, datasets, source, missing in re.findall(
        r"^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*?) ?\|$", table, re.M
    ):
        found[name] = (dict(part.split("=", 1) for part in settings.partition("; ")[0].split(", ")), datasets, source, missing)
    return found


def test_every_method_has_a_recipe_and_a_row() -> None:
    assert set(RECIPES) == set(documented())
    assert set(METHODS) <= set(RECIPES)


@pytest.mark.parametrize("method", RECIPES)
def test_a_recipe_is_its_row_in_the_documentation(method: str) -> None:
    recipe, (settings, datasets, source, missing) = RECIPES[method], documented()[method]
    assert settings.keys() == recipe.settings.keys()
    for name, text in settings.items():
        expected = recipe.settings[name]
        if name == "lr_milestones":
            shares = [] if text == "none" else [value_of(share) for share in text.split()]
            np.testing.assert_allclose(shares, expected)
        elif isinstance(expected, float | int):
            assert value_of(text) == pytest.approx(expected), name
        else:
            assert text == expected
    assert datasets == ", ".join(recipe.datasets)
    assert (source, missing) == (recipe.source, recipe.missing)


@pytest.mark.parametrize("method", METHODS)
def test_a_config_takes_it_and_the_user_overrides_it(method: str) -> None:
    given: dict[str, Any] = {"trainer": method, "dataset": "cifar10", "recipe": "paper", "epochs": 3, "lr": 0.123}
    if method in FINE_TUNED:
        with pytest.raises(OptionError, match=f"the recipe of {method} fine-tunes and needs a warm start: first train a"):
            RunConfig.from_mapping(given)
        given["warm_start"] = "runs/base"
    config = RunConfig.from_mapping(given)
    assert (config.epochs, config.lr, config.recipe) == (3, 0.123, "paper")
    for name, value in recipe_of(method).settings.items():
        kind, dot, option = name.partition(".")
        if dot:
            assert config.options[kind][option] == value
        elif name not in ("epochs", "lr"):
            assert getattr(config, name) == value, name
    # What is written into config.yaml gives the same run again.
    assert RunConfig.from_mapping(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_options_of_a_part_that_the_user_replaced_are_left_out() -> None:
    config = RunConfig.from_mapping({"trainer": "cfa", "dataset": "cifar10", "recipe": "paper", "averaging": "ema"})
    assert "averaging" not in config.options
    own = {"options": {"averaging.decay": 0.5}}
    config = RunConfig.from_mapping({"trainer": "cfa", "dataset": "cifar10", "recipe": "paper", **own})
    assert config.options["averaging"] == {"decay": 0.5, "threshold": 0.2}


@pytest.mark.parametrize(
    ("method", "drops"),
    [
        # First epochs with a smaller rate, counted from 1, of the authors' programs (MART: of the paper).
        ("trades", [75]),
        ("mart", [75, 90]),
        ("dafa", [101, 106]),
        ("at", [101, 151]),
    ],
)
def test_rates_fall_in_the_epochs_of_the_publication(method: str, drops: list[int]) -> None:
    config = RunConfig.from_mapping({"trainer": method, "dataset": "cifar10", "recipe": "paper"})
    optimizer = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    scheduler = Schedule(config)(optimizer, nb_epochs=config.epochs, nb_batches=1)
    seen = []
    for _ in range(config.epochs):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert [epoch + 1 for epoch in range(1, len(seen)) if seen[epoch] < 0.5 * seen[epoch - 1]] == drops


@pytest.mark.parametrize(("method", "epochs"), [("fgsm-rs", 15), ("n-fgsm", 30)])
def test_single_step_methods_have_one_cycle_of_0_2_with_its_peak_in_the_middle(method: str, epochs: int) -> None:
    config = RunConfig.from_mapping({"trainer": method, "dataset": "cifar10", "recipe": "paper"})
    optimizer = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))])
    scheduler = Schedule(config)(optimizer, nb_epochs=epochs, nb_batches=20)
    seen = []
    for _ in range(epochs * 20):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert config.epochs == epochs
    assert abs(int(np.argmax(seen)) - epochs * 10) <= 1
    assert max(seen) == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize(
    ("method", "kind", "share", "epochs", "begin"),
    [
        ("dafa", "class_weighting", DAFA_SHARE, None, 70),
        ("dafa", "epsilon_scheduler", DAFA_SHARE, 11, 7),
        ("cfa", "class_weighting", CFA_SHARE, None, 10),
        ("cfa", "epsilon_scheduler", CFA_SHARE, 40, 2),
    ],
)
def test_parts_set_in_where_the_publication_has_it_and_follow_a_shorter_run(
    method: str, kind: str, share: float, epochs: int | None, begin: int, make_classifier: Any, make_statistics: Any
) -> None:
    given = {"trainer": method, "dataset": "cifar10", "recipe": "paper"}
    config = RunConfig.from_mapping(given if epochs is None else {**given, "epochs": epochs})
    part = getattr(build_trainer(config, make_classifier(3), create("dataset", "digits")).method, kind)
    chosen = part.warm_up if method == "dafa" else part.start_epoch
    ended = [make_statistics(np.eye(3), epoch=epoch, nb_epochs=config.epochs) for epoch in range(config.epochs)]
    assert next(one.epoch + 1 for one in ended if past_warm_up(chosen, one, share=share)) == begin


@pytest.mark.parametrize(("epochs", "begin"), [(None, 50), (20, 5)])
def test_the_average_of_cfa_begins_after_a_quarter_of_the_run(epochs: int | None, begin: int, make_classifier: Any) -> None:
    given = {"trainer": "cfa", "dataset": "cifar10", "recipe": "paper"}
    config = RunConfig.from_mapping(given if epochs is None else {**given, "epochs": epochs})
    averaging = build_trainer(config, make_classifier(3), create("dataset", "digits")).method.averaging
    assert averaging is not None
    assert averaging.first_epoch(config.epochs) == begin


def test_a_data_set_has_settings_of_its_own() -> None:
    config = RunConfig.from_mapping({"trainer": "dafa", "dataset": "cifar100", "recipe": "paper"})
    assert config.options["trainer"]["strength"] == 1.5


@pytest.mark.parametrize("dataset", ["digits", "fashion-mnist", "npz:some.npz"])
def test_another_data_set_is_refused(dataset: str) -> None:
    message = rf"trains at on cifar10 and cifar100, not on '{dataset}': leave the recipe out"
    with pytest.raises(OptionError, match=message):
        RunConfig.from_mapping({"trainer": "at", "dataset": dataset, "recipe": "paper"})
    with pytest.raises(OptionError, match=r"not on 'digits'"):
        RunConfig.from_mapping({"trainer": "at", "recipe": "paper"})


def test_a_method_without_a_recipe_is_named() -> None:
    with pytest.raises(OptionError, match="method 'mine' has no recipe of a publication"):
        RunConfig.from_mapping({"trainer": "mine", "dataset": "cifar10", "recipe": "paper"})
    with pytest.raises(OptionError, match="recipe expects one of 'none', 'paper', got 'papers'"):
        RunConfig(trainer="at", recipe="papers")


def test_xcit_trains_by_a_recipe_of_its_own_and_every_flag_goes_first() -> None:
    config = RunConfig.from_mapping({"trainer": "at", "model": "xcit-s12", "epochs": 100, "batch_size": 256})
    assert (config.optimizer, config.schedule, config.weight_decay, config.warmup_epochs) == ("adamw", "cosine", 0.05, 5.0)
    assert config.lr == pytest.approx(5e-4 * 256 / 512)
    short = RunConfig.from_mapping({"trainer": "at", "model": "xcit-s12", "epochs": 4, "lr": 0.01, "schedule": "onecycle"})
    assert (short.lr, short.schedule, short.warmup_epochs) == (0.01, "onecycle", 0.0)
    plain = RunConfig.from_mapping({"trainer": "at", "model": "xcit-s12", "optimizer": "sgd"})
    assert (plain.optimizer, plain.lr, plain.schedule) == ("sgd", 0.1, "multistep")
    paper = RunConfig.from_mapping({"trainer": "at", "model": "xcit-s12", "dataset": "cifar10", "recipe": "paper"})
    assert (paper.epochs, paper.optimizer, paper.weight_decay) == (200, "adamw", 0.05)
    assert RunConfig.from_mapping(paper.to_dict()) == paper
    assert RunConfig.from_mapping({"trainer": "at"}).optimizer == "sgd"


@pytest.fixture(scope="module")
def tiny_cifar10() -> Dataset:
    """Forty images under the name of the data set that the recipes are for."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
    y = np.arange(40) % 10
    return Dataset(
        name="cifar10", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10], classes=tuple("abcdefghij"), augmentation="crop-flip"
    )


@pytest.fixture(scope="module")
def base_run(tiny_cifar10: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the methods that fine-tune start from."""
    folder = tmp_path_factory.mktemp("base") / "at"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "load_dataset", lambda *_, **__: tiny_cifar10)
        config = {"trainer": "at", "dataset": "cifar10", "epochs": 1, "max_iter": 1, "eps_step": "8/255", **SMALL}
        train_run(RunConfig.from_mapping(config), folder, verbose=False)
    return folder


SMALL = {"model": "small-cnn", "options": {"model.width": 2}, "batch_size": 20, "device": "cpu", "logger": "none"}
"""In place of the publication's network and batch, which take a GPU."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_epochs_of_it_run(
    method: str, tiny_cifar10: Dataset, base_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "load_dataset", lambda *_, **__: tiny_cifar10)
    given: dict[str, Any] = {"trainer": method, "dataset": "cifar10", "recipe": "paper", "epochs": 2, **SMALL}
    if method in FINE_TUNED:
        given["warm_start"] = str(base_run)
    run = train_run(RunConfig.from_mapping(given), tmp_path / "run", verbose=False)
    recipe = recipe_of(method).settings
    assert len(run.history) == 2
    assert all(np.isfinite(record.loss) for record in run.history)
    assert run.trainer.budget.max_iter == recipe.get("max_iter", run.trainer.budget.max_iter)
    assert run.config.to_dict()["eps"] == recipe.get("eps", run.config.eps)
