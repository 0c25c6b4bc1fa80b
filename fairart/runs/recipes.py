"""The settings of each method's publication, for ``--recipe paper``.

Only what could be read in a paper or its program stands here; a setting that is missing could not be read and keeps its default.
Where the two differ, the paper's value is taken. Importing this module loads neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError
from fairart.norms import norm_order
from fairart.runs.model_settings import chosen

__all__ = ["RECIPES", "Recipe", "recipe_of", "with_recipe"]

CIFAR = ("cifar10", "cifar100")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a publication.

    Epochs after which a part sets in are left to its default, a share of the run, where that gives the publication's number: so
    they follow where the user makes the run shorter.

    Args:
        source: where they were read.
        settings: field of a run's config -> value; ``KIND.OPTION`` for options of parts.
        datasets: names of the data sets that the publication has.
        by_dataset: data set -> settings that differ there.
        warm_start: what a method that fine-tunes starts from, in words with the command; empty for training from scratch.
        missing: what could not be read, in words; empty for nothing.
    """

    source: str
    settings: Mapping[str, Any]
    datasets: tuple[str, ...] = CIFAR
    by_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warm_start: str = ""
    missing: str = ""


ATTACK = {"eps": 8 / 255, "eps_step": 2 / 255, "max_iter": 10, "augmentation": "crop-flip"}
LONG = {
    "model": "preact-resnet-18",
    "epochs": 200,
    "batch_size": 128,
    "lr": 0.1,
    "lr_milestones": (0.5, 0.75),
    "momentum": 0.9,
    "weight_decay": 5e-4,
}
"""200 epochs of SGD, as Rice et al. (2020), CFA and FAIR-TAT train."""
ONE_CYCLE = {**{name: value for name, value in LONG.items() if name != "lr_milestones"}, "lr": 0.2, "schedule": "onecycle"}
"""One rise and fall of the learning rate, as fast adversarial training has it; the epochs are each method's own."""
TRADES_ATTACK = {**ATTACK, "eps": 0.031, "eps_step": 0.007}
FROM_TRADES = "a TRADES model: fairart train trades --recipe paper --output runs/trades, then --warm-start runs/trades"
FROM_AT = "an AT model: fairart train at --recipe paper --output runs/at, then --warm-start runs/at"

RECIPES: dict[str, Recipe] = {
    "standard": Recipe(source="the schedule of AT, without the attack", settings={**LONG, "augmentation": "crop-flip"}),
    "at": Recipe(source="Rice et al., ICML 2020; CFA, Table 1", settings={**LONG, **ATTACK}),
    "trades": Recipe(
        source="TRADES, ICML 2019, Sec. 5.3, and its program, which stops after 76 epochs",
        settings={
            **LONG,
            **TRADES_ATTACK,
            "model": "wide-resnet-34-10",
            "epochs": 76,
            # Its program counts epochs from 1: the 75th is the first one with the smaller rate.
            "lr_milestones": (74 / 76,),
            "weight_decay": 2e-4,
            "objective.beta": 6.0,
        },
        datasets=("cifar10",),
    ),
    "fat": Recipe(
        source="CFA, Table 1, which trains FAT with tau 3",
        settings={**LONG, **ATTACK, "objective.tau": 3},
        missing="FAT's own schedule",
    ),
    "fair-tat": Recipe(
        source="FAIR-TAT, WACV 2025",
        settings={**LONG, **ATTACK, "epsilon_scheduler.lambda1": 0.5, "epsilon_scheduler.start_epoch": 1},
    ),
    "fair-tat-uniform": Recipe(
        source="FAIR-TAT, WACV 2025, appendix A.2",
        settings={**LONG, **ATTACK, "epsilon_scheduler.lambda1": 0.5, "epsilon_scheduler.start_epoch": 1},
    ),
    "fair-tat-fixed-eps": Recipe(source="FAIR-TAT, WACV 2025, appendix A.3", settings={**LONG, **ATTACK}),
    "cfa": Recipe(
        source="CFA, CVPR 2023, Sec. 5.1",
        settings={
            **LONG,
            **ATTACK,
            "averaging.threshold": 0.2,
            "averaging.decay": 0.85,
        },
    ),
    "frl": Recipe(
        source="FRL, ICML 2021, and its program",
        settings={
            **ATTACK,
            "model": "preact-resnet-18",
            "epochs": 100,
            "lr": 0.001,
            "lr_milestones": (0.4, 0.8),
            "momentum": 0.9,
            "trainer.variant": "rwrm",
        },
        datasets=("cifar10",),
        warm_start=FROM_TRADES,
        missing="the number of epochs (100 is ours: the rate drops after the 40th and 80th), batch size, weight decay",
    ),
    "bat": Recipe(
        source="BAT, AAAI 2023",
        settings={**ATTACK, "model": "preact-resnet-18", "objective.beta": 6.0, "objective.tau": 1},
        missing="the schedule",
    ),
    "wat": Recipe(
        source="WAT, AAAI 2023",
        settings={**ATTACK, "class_weighting.eta": 0.1, "class_weighting.beta": 6.0, "objective.beta": 6.0},
        missing="the schedule and the network",
    ),
    "dafa": Recipe(
        source="DAFA, ICLR 2024, which follows Pang et al., ICLR 2021",
        settings={
            **LONG,
            **ATTACK,
            "epochs": 110,
            "lr_milestones": (100 / 110, 105 / 110),
            "trainer.strength": 1.0,
        },
        datasets=("cifar10", "cifar100", "stl10"),
        by_dataset={"cifar100": {"trainer.strength": 1.5}, "stl10": {"trainer.strength": 1.5}},
        missing="its ResNet-18 (here preact-resnet-18); the Nesterov momentum of its program (here plain)",
    ),
    "faal": Recipe(
        source="FAAL, CVPR 2024",
        settings={
            **ATTACK,
            "model": "preact-resnet-18",
            "epochs": 2,
            "lr": 0.01,
            "lr_milestones": (0.5,),
            "momentum": 0.9,
            "trainer.radius": 0.5,
        },
        datasets=("cifar10",),
        warm_start=FROM_AT,
        missing="batch size, weight decay",
    ),
    "trix": Recipe(
        source="TRIX, arXiv 2507.07768",
        settings={**ATTACK, "model": "preact-resnet-18"},
        datasets=("cifar10",),
        missing="the schedule, the threshold and the weights; its ResNet-18 (here preact-resnet-18)",
    ),
    "csr": Recipe(
        source="CSR, ICLR 2025, and its program",
        settings={
            **ATTACK,
            "model": "wide-resnet-34-10",
            "epochs": 2,
            "lr": 0.001,
            "lr_milestones": (),
            "objective.beta": 6.0,
            "class_weighting.share": 0.3,
            "class_weighting.true_logit_cut": 0.1,
        },
        datasets=("cifar10",),
        warm_start=f"{FROM_TRADES} (or TRADES with --weight-perturbation awp)",
        missing="momentum, weight decay, batch size",
    ),
    "cfol": Recipe(
        source="CFOL, arXiv 2302.08872, and its program",
        settings={**ATTACK, "model": "preact-resnet-18", "class_sampling.gamma": 0.5, "class_sampling.eta": 1e-5},
        datasets=("cifar10",),
        missing="the schedule; its ResNet-18 (here preact-resnet-18)",
    ),
    "mart": Recipe(
        source="MART, ICLR 2020, Sec. 4, and its program",
        settings={
            **LONG,
            **TRADES_ATTACK,
            "epochs": 120,
            "lr": 0.01,
            # From the 75th and the 90th epoch on, counted from 1.
            "lr_milestones": (74 / 120, 89 / 120),
            "weight_decay": 3.5e-3,
            "objective.beta": 5.0,
        },
        datasets=("cifar10",),
        missing="its ResNet-18 (here preact-resnet-18)",
    ),
    "fgsm-rs": Recipe(
        source="Wong et al., ICLR 2020, Sec. 5",
        settings={**ONE_CYCLE, **ATTACK, "epochs": 15, "objective.step": 1.25},
        datasets=("cifar10",),
    ),
    "ibp": Recipe(
        source="Gowal et al., arXiv 1810.12715",
        settings={"objective.kappa": 0.5},
        datasets=("cifar10",),
        missing="eps of training, the schedules and the networks",
    ),
    "gaussian": Recipe(
        source="Cohen et al., ICML 2019, and its program",
        settings={"augmentation": "crop-flip", "batch_size": 400, "trainer.sigma": 0.25},
        datasets=("cifar10",),
        missing="epochs, learning rate and schedule; its ResNet-110",
    ),
    "n-fgsm": Recipe(
        source="de Jorge et al., NeurIPS 2022, Sec. 4",
        settings={
            **ONE_CYCLE,
            **ATTACK,
            "epochs": 30,
            "objective.noise": 2.0,
            "objective.step": 1.0,
        },
    ),
    "co-teaching": Recipe(
        source="Han et al., NeurIPS 2018, Sec. 4, and its program",
        settings={
            "epochs": 200,
            "batch_size": 128,
            # Adam: AdamW without weight decay.
            "optimizer": "adamw",
            "lr": 0.001,
            "weight_decay": 0.0,
            "trainer.ramp_epochs": 10,
        },
        missing="its network of nine layers and its schedule (falling linearly from epoch 80), which are not here",
    ),
    "self-training": Recipe(
        source="the schedule of AT, without the attack",
        settings={**LONG, "augmentation": "crop-flip"},
        missing="threshold and warm-up, which no publication gives for this form",
    ),
}
"""Method -> what its publication trains with."""


def recipe_of(trainer: str, dataset: str | None = None) -> Recipe:
    """A method's recipe, for a data set where one is named.

    Args:
        trainer: registered name of the method.
        dataset: registered name; None for the recipe as it stands.

    Raises:
        OptionError: the method has no recipe, or its publication does not have the data set.
    """
    if trainer not in RECIPES:
        raise OptionError(f"recipe: method {trainer!r} has no recipe of a publication; {did_you_mean(trainer, RECIPES)}")
    recipe = RECIPES[trainer]
    if dataset is not None and dataset not in recipe.datasets:
        raise OptionError(
            f"recipe: {recipe.source} trains {trainer} on {' and '.join(recipe.datasets)}, not on {dataset!r}: leave the "
            "recipe out and give the settings that suit this data set"
        )
    return recipe


def with_recipe(given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Settings with those of a recipe filled in where the user gave none; a network's own recipe goes first.

    Args:
        given: what the user gave: fields of a run's config, ``options`` as nested mappings, ``recipe`` among them.
        where: name of the source in error messages.

    Raises:
        OptionError: a recipe for another data set, or of a method that has none; a budget in another norm; a method that
            fine-tunes without a warm start.
    """
    values = dict(given)
    if values.get("recipe") in (None, "none") or "trainer" not in values:
        return values
    dataset = str(values.get("dataset") or "digits")
    recipe = recipe_of(values["trainer"], dataset)
    if "eps" in recipe.settings and norm_order(values.get("norm") or "inf") == 2:
        raise OptionError(
            f"{where}: recipe: {recipe.source} trains {values['trainer']} with a budget in L-inf, got norm {values['norm']!r}: "
            "leave the recipe out and give the settings that suit L2"
        )
    if recipe.warm_start and values.get("warm_start") is None:
        raise OptionError(
            f"{where}: the recipe of {values['trainer']} fine-tunes and needs a warm start: first train {recipe.warm_start}"
        )
    options = {kind: dict(chosen) for kind, chosen in dict(values.get("options") or {}).items()}
    unused = _unused(values)
    for name, value in {**recipe.settings, **recipe.by_dataset.get(dataset, {})}.items():
        kind, dot, option = name.partition(".")
        if not dot:
            if values.get(name) is None and name not in unused:
                values[name] = value
        elif kind == "trainer" or values.get(kind) is None:
            # Options of a part that the user replaced are not the publication's.
            options.setdefault(kind, {}).setdefault(option, value)
    return {**values, "options": options}


def _unused(given: Mapping[str, Any]) -> set[str]:
    """Settings of a recipe, all of SGD, that mean nothing beside the optimizer or the schedule of the user or the network."""
    by = chosen(given)
    unused = {"lr", "momentum", "weight_decay"} if by["optimizer"] not in (None, "sgd") else set()
    return unused | ({"lr_milestones"} if by["schedule"] not in (None, "multistep") else set())
