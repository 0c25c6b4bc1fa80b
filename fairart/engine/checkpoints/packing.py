"""Nested state as a tree of plain JSON and a flat dictionary of tensors, and back: nothing is ever unpickled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["pack", "unpack"]

TAG = "$"
"""Key that marks an object of the tree that stands for something JSON does not have."""


def pack(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Take state apart.

    Args:
        state: numbers, text, None, lists, tuples, dictionaries, counters, tensors and numpy arrays, nested at will.

    Returns:
        The tree, and its tensors on the CPU by name.

    Raises:
        TypeError: anything else; the message says where it stands.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(state, "state", tensors), tensors


def _pack(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _pack(value.item(), where, tensors)
    if isinstance(value, Tensor):
        # Cloned where it is not copied anyhow: safetensors refuses tensors that share memory.
        plain = value.detach()
        stored = plain.cpu() if plain.device.type != "cpu" else plain.clone()
        name = _store(stored.contiguous(), where, tensors)
        return {TAG: "tensor", "name": name, "device": value.device.type}
    if isinstance(value, np.ndarray):
        return _pack_array(value, where, tensors)
    if isinstance(value, list | tuple):
        items = [_pack(item, f"{where}.{index}", tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {TAG: "tuple", "items": items}
    if isinstance(value, Mapping):
        return _pack_mapping(value, where, tensors)
    raise TypeError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}: a checkpoint holds numbers, text, lists, "
        "dictionaries and tensors only"
    )


def _pack_mapping(value: Mapping[Any, Any], where: str, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, Counter) and TAG not in value and all(isinstance(key, str) for key in value):
        return {key: _pack(item, f"{where}.{key}", tensors) for key, item in value.items()}
    items = [[_pack(key, where, tensors), _pack(item, f"{where}.{key}", tensors)] for key, item in value.items()]
    return {TAG: "counter" if isinstance(value, Counter) else "dict", "items": items}


def _pack_array(value: Any, where: str, tensors: dict[str, Tensor]) -> Any:
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{where} is an array of {value.dtype}: a checkpoint holds arrays of numbers only")
    # As bytes: torch does not know every type of numpy's.
    name = _store(torch.tensor(np.frombuffer(value.tobytes(), dtype=np.uint8)), where, tensors)
    return {TAG: "array", "name": name, "dtype": value.dtype.str, "shape": list(value.shape)}


def _store(tensor: Tensor, where: str, tensors: dict[str, Tensor]) -> str:
    # Numbered: keys may hold dots, and two paths could read the same.
    name = f"{len(tensors)}:{where}"
    tensors[name] = tensor
    return name


def unpack(tree: Any, get: Callable[[str], Tensor], device: torch.device) -> Any:
    """Put state together again.

    Args:
        tree: what :func:`pack` gave.
        get: gives a tensor by its name.
        device: where tensors go that were not on the CPU.

    Raises:
        KeyError, TypeError, ValueError: a tree that :func:`pack` did not give.
    """
    if isinstance(tree, list):
        return [unpack(item, get, device) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if TAG not in tree:
        return {key: unpack(item, get, device) for key, item in tree.items()}
    return _unpack_marked(tree, get, device)


def _unpack_marked(tree: dict[str, Any], get: Callable[[str], Tensor], device: torch.device) -> Any:
    tag = tree[TAG]
    if tag == "tensor":
        # Cloned: the file is only mapped, and goes away when newer ones are written.
        tensor = get(tree["name"]).clone()
        return tensor if tree["device"] == "cpu" else tensor.to(device)
    if tag == "array":
        flat = np.frombuffer(get(tree["name"]).numpy().tobytes(), dtype=np.dtype(tree["dtype"]))
        return flat.reshape(tree["shape"]).copy()
    items = [unpack(item, get, device) for item in tree["items"]]
    makers: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "dict": dict, "counter": lambda pairs: Counter(dict(pairs))}
    return makers[tag](items)
