"""One set of weights, written as people write them, and read to the same predictions each time."""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fairart.models.weights import load_weights, read_file

spec = importlib.util.spec_from_file_location("weights_made", Path(__file__).with_name("conftest.py"))
made_here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made_here)
MEAN, STD, Net, Normalize, SelfNormalizing, made = (
    getattr(made_here, name) for name in ("MEAN", "STD", "Net", "Normalize", "SelfNormalizing", "made")
)

State = dict[str, Tensor]


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def other(state: State) -> State:
    """Weights of another network: nothing that fits."""
    return {f"decoder.{name}": torch.zeros(2, 2) for name in state}


def shifted(state: State) -> State:
    return {name: value + 1 for name, value in state.items()}


LAYOUTS: dict[str, Callable[[State], Any]] = {
    "bare": lambda s: s,
    "ordered": OrderedDict,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "model": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)},
    "net": lambda s: {"net": s, "acc": np.float64(91.2), "confusion": np.eye(3)},
    "nested twice": lambda s: {"checkpoint": {"model": s}, "path": pathlib.PurePosixPath("a/b")},
    "defaultdict beside": lambda s: {"rmodel": s, "log": defaultdict(list, loss=[1.0])},
    "epoch among the tensors": lambda s: {**s, "epoch": 7},
    "module.": lambda s: {"state_dict": prefixed(s, "module.")},
    "_orig_mod.": lambda s: prefixed(s, "_orig_mod."),
    "module._orig_mod.": lambda s: prefixed(s, "module._orig_mod."),
    "model.": lambda s: {"state_dict": prefixed(s, "model."), "pytorch-lightning_version": "2.0"},
    "0.": lambda s: prefixed(s, "0."),
    "backbone. beside a head of another task": lambda s: {**prefixed(s, "backbone."), "projector.weight": torch.ones(2, 7)},
    "module.model. beside module.attacker.model.": lambda s: {
        "model": {**prefixed(s, "module.model."), **prefixed(s, "module.attacker.model.")}
    },
    "optimizer with momentum": lambda s: {"net": s, "optimizer": {"state": {0: {"momentum_buffer": torch.ones(4)}}}},
    "ema that is the same": lambda s: {"state_dict": s, "ema": {name: value.clone() for name, value in s.items()}},
    "another network beside": lambda s: {"teacher": other(s), "student": s},
    "list of two": lambda s: {"state_dict": [s, shifted(s)]},
    "list whose first does not fit": lambda s: [other(s), s],
    "without num_batches_tracked": lambda s: {name: value for name, value in s.items() if "num_batches" not in name},
    "surplus num_batches_tracked": lambda s: {**s, "linear.num_batches_tracked": torch.tensor(3)},
    "parameters": lambda s: {name: nn.Parameter(value) if value.is_floating_point() else value for name, value in s.items()},
    "double": lambda s: {name: value.double() if value.is_floating_point() else value for name, value in s.items()},
    "on the meta of a larger batch": lambda s: {name: value.expand(2, *value.shape)[0] for name, value in s.items()},
}  # fmt: skip


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_predictions(layout, old, model, images, save):
    file = save(LAYOUTS[layout](model.state_dict()), _use_new_zipfile_serialization=not old)
    loaded = made(Net, seed=5)
    assert not torch.equal(loaded(images), model(images))
    load_weights(loaded, file)
    assert torch.equal(loaded.eval()(images), model(images))


@pytest.mark.parametrize("name", ["best.pth", "best.tar", "last.ckpt", "pytorch_model.bin", "weights"])
def test_the_name_of_the_file_does_not_matter(name, model, images, save):
    loaded = Net()
    load_weights(loaded, save(model.state_dict(), name))
    assert torch.equal(loaded.eval()(images), model(images))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
def test_safetensors(name, prefix, model, images, tmp_path):
    save_file(prefixed(model.state_dict(), prefix), tmp_path / name)
    loaded = Net()
    found = load_weights(loaded, tmp_path / name)
    assert found.prefix == prefix
    assert torch.equal(loaded.eval()(images), model(images))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_into_the_models_own_type_and_noted(dtype, model, images, save):
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in model.state_dict().items()}
    loaded = Net()
    found = load_weights(loaded, save(state))
    assert loaded.linear.weight.dtype == torch.float32
    torch.testing.assert_close(loaded.eval()(images), model(images), rtol=0, atol=0.05)
    assert any("16" in note for note in found.notes)


def test_weights_averaged_by_torch(model, images, save):
    loaded = Net()
    found = load_weights(loaded, save(AveragedModel(model).state_dict()))
    assert found.prefix == "module."
    assert torch.equal(loaded.eval()(images), model(images))


def test_data_parallel(model, images, save):
    loaded = Net()
    load_weights(loaded, save({"state_dict": nn.DataParallel(model).state_dict()}))
    assert torch.equal(loaded.eval()(images), model(images))


def test_a_compiled_network_takes_a_plain_file_and_the_other_way_round(model, images, save):
    compiled = torch.compile(Net(), backend="eager")
    load_weights(compiled, save(model.state_dict()))
    loaded = Net()
    load_weights(loaded, save(compiled.state_dict()))
    assert torch.equal(loaded.eval()(images), model(images))


def test_several_that_fit_are_listed_and_the_key_chooses(model, images, save):
    file = save({"state_dict": model.state_dict(), "ema": {"shadow": shifted(model.state_dict())}})
    with pytest.raises(
        ValueError, match=r"2 different state dicts that fit: name one of 'state_dict', 'ema.shadow' as weights_key"
    ):
        load_weights(Net(), file)
    loaded = Net()
    assert load_weights(loaded, file, key="state_dict").key == "state_dict"
    assert torch.equal(loaded.eval()(images), model(images))
    load_weights(loaded, file, key="ema.shadow")
    assert torch.equal(loaded.linear.bias, model.linear.bias + 1)


def test_several_parts_that_fit_are_listed_and_the_prefix_chooses(model, save):
    file = save({**prefixed(model.state_dict(), "online."), **prefixed(shifted(model.state_dict()), "target.")})
    with pytest.raises(ValueError, match=r"2 different parts that fit: name one of 'online.', 'target.' as weights_prefix"):
        load_weights(Net(), file)
    loaded = Net()
    load_weights(loaded, file, prefix="target")
    assert torch.equal(loaded.linear.bias, model.linear.bias + 1)


def test_the_index_chooses_within_a_list_and_is_noted(model, save):
    file = save({"state_dict": [model.state_dict(), shifted(model.state_dict())]})
    loaded = Net()
    assert any("number 0 of a list of 2" in note for note in load_weights(loaded, file).notes)
    load_weights(loaded, file, index=1)
    assert torch.equal(loaded.linear.bias, model.linear.bias + 1)


NORMALIZERS = {
    "mu and sigma": (("mu", "sigma"), (1, 3, 1, 1), ""),
    "mean and std, flat": (("mean", "std"), (3,), "normalize."),
    "new_mean and new_std": (("new_mean", "new_std"), (3, 1, 1), "normalizer."),
}


@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_network_that_normalises_itself_gets_the_files_numbers_and_no_preprocessing(name, images, save):
    names, shape, parent = NORMALIZERS[name]
    source = made(SelfNormalizing)
    state = {key: value for key, value in source.state_dict().items() if key not in ("mu", "sigma")}
    state[f"{parent}{names[0]}"], state[f"{parent}{names[1]}"] = (
        torch.tensor(MEAN).reshape(shape),
        torch.tensor(STD).reshape(shape),
    )
    loaded = SelfNormalizing()
    loaded.mu.zero_()
    loaded.sigma.fill_(1)
    found = load_weights(loaded, save(state))
    assert found.normalizes_itself
    assert found.normalization is None
    torch.testing.assert_close(loaded.eval()(images), source(images))


@pytest.mark.parametrize("prefix", ["", "module.", "module.model."])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_the_files_numbers_become_preprocessing_of_a_network_that_does_not_normalise(name, prefix, images, save):
    names, shape, parent = NORMALIZERS[name]
    source = made(SelfNormalizing)
    state = {key: value for key, value in source.state_dict().items() if key not in ("mu", "sigma")}
    outer = prefix.removesuffix("model.")
    buffers = {
        f"{outer}{parent}{names[0]}": torch.tensor(MEAN).reshape(shape),
        f"{outer}{parent}{names[1]}": torch.tensor(STD).reshape(shape),
    }
    loaded = Net()
    found = load_weights(loaded, save({**prefixed(state, prefix), **buffers}))
    assert not found.normalizes_itself
    mean, std = (values.reshape(1, 3, 1, 1) for values in found.normalization)
    torch.testing.assert_close(loaded.eval()((images - mean) / std), source(images))
    assert any("preprocessing" in note for note in found.notes)


def test_a_wrapped_network_takes_the_weights_of_the_inner_one(model, images, save):
    wrapped = nn.Sequential(Normalize(), Net())
    found = load_weights(wrapped, save(prefixed(model.state_dict(), "module.")))
    assert found.normalizes_itself
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close(wrapped.eval()(images), model((images - mean) / std))


def test_the_inner_network_takes_the_weights_of_a_wrapped_one(images, save):
    source = made(lambda: nn.Sequential(Normalize(), Net()))
    loaded = Net()
    found = load_weights(loaded, save(source.state_dict()))
    assert found.prefix == "1."
    mean, std = (values.reshape(1, 3, 1, 1) for values in found.normalization)
    torch.testing.assert_close(loaded.eval()((images - mean) / std), source(images))


def test_a_plain_attribute_counts_as_a_normalisation_of_its_own(model, save):
    class Attributes(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.std = torch.tensor(MEAN), torch.tensor(STD)

    found = load_weights(Attributes(), save({**model.state_dict(), "mean": torch.tensor(MEAN), "std": torch.tensor(STD)}))
    assert found.normalizes_itself
    assert found.normalization is None


def test_what_fits_in_part_is_loaded_only_by_request(model, save):
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("linear")}
    file = save(state)
    loaded = made(Net, seed=5)
    before = loaded.linear.weight.clone()
    with pytest.raises(ValueError, match=r"2 of the model's 8 tensors are missing: linear\.weight, linear\.bias"):
        load_weights(loaded, file)
    assert not torch.equal(loaded.convolution.weight, model.convolution.weight)
    found = load_weights(loaded, file, strict=False)
    assert torch.equal(loaded.convolution.weight, model.convolution.weight)
    assert torch.equal(loaded.linear.weight, before)
    assert found.missing == ("linear.weight", "linear.bias")


def test_reading_leaves_the_list_of_safe_globals_as_it_was(model, save):
    before = set(torch.serialization.get_safe_globals())
    read_file(save({"model": model.state_dict(), "args": argparse.Namespace()}))
    assert set(torch.serialization.get_safe_globals()) == before
