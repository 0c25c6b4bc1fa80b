"""The README's code works as printed."""

import re
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

import fairart.plugins
from fairart import create
from fairart.plugins.hookspecs import METHOD_KINDS
from fairart.testing import check_target_sampler

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def block(text: str) -> str:
    (found,) = [code for code in BLOCKS if text in code]
    return found


def test_the_plugin_runs_and_keeps_the_rules():
    names: dict = {}
    exec(compile(block("InverseAccuracySampler"), "README.md", "exec"), names)
    check_target_sampler(names["InverseAccuracySampler"]())
    manager = fairart.plugins.PluginManager(entry_points=False)
    plugin = type("module", (), {"fairart_register_target_samplers": staticmethod(names["fairart_register_target_samplers"])})()
    manager.register(plugin, "readme")
    assert type(manager.create("target_sampler", "inverse-accuracy")) is names["InverseAccuracySampler"]


def test_the_pipeline_runs():
    digits = create("dataset", "digits").subset(per_class=30)
    model = create("model", "small-cnn", input_shape=(1, 8, 8), nb_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mean, std = digits.mean_std()
    names = {
        "model": model,
        "loss": torch.nn.CrossEntropyLoss(),
        "input_shape": (1, 8, 8),
        "nb_classes": 10,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1),
        "mean": mean,
        "std": std,
        **{"x_train": digits.x_train, "y_train": digits.y_train, "x_val": digits.x_test[:50], "y_val": digits.y_test[:50]},
        **{"x_test": digits.x_test[:50], "y_test": digits.y_test[:50]},
    }
    short = block("FairTATTrainer(").replace("nb_epochs=200", "nb_epochs=2").replace('averaging="fawa"', 'averaging="ema"')
    exec(compile(short, "README.md", "exec"), names)
    assert isinstance(names["art_classifier"], PyTorchClassifier)
    assert names["trainer"].history[-1].epsilons.shape == (10,)
    exec(compile(block("result.table()"), "README.md", "exec"), names)
    assert np.isfinite(names["result"]["pgd"].class_accuracy).all()


def test_what_it_links_is_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target


def test_every_name_in_it_is_registered():
    for kind in (*METHOD_KINDS, "augmentation"):
        (row,) = re.findall(rf"^\| `{kind}` \| (.*) \|$", README, flags=re.MULTILINE)
        builtin = [name for name, entry in fairart.registered(kind).items() if entry.plugin == "fairart"]
        assert sorted(row.split(", ")) == sorted(builtin)


def test_every_attack_stands_in_its_table():
    (table,) = re.findall(r"^\| attack \| what it is.*?\n\n", README, flags=re.MULTILINE | re.DOTALL)
    names = {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`([a-z-]+)`", row.split("|")[1])}
    assert names == {name for name, entry in fairart.registered("attack").items() if entry.plugin == "fairart"}
