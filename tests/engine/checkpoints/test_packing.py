"""State taken apart and put together again, without pickle."""

from __future__ import annotations

import json
import math
import random
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairart.engine.checkpoints.packing import pack, unpack

CPU = torch.device("cpu")
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers() | st.just("$")
STATE = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=20,
)


def there_and_back(state):
    tree, tensors = pack(state)
    return unpack(json.loads(json.dumps(tree)), tensors.__getitem__, CPU)


def typed(value):
    """Equal values of another type are not the same: 1, 1.0 and True."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    return type(value), value


@given(STATE)
def test_plain_state_comes_back_as_it_was(state):
    assert typed(there_and_back(state)) == typed(state)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
def test_tensors_come_back_bit_for_bit(dtype, shape):
    tensor = (torch.randn(shape) * 3).to(getattr(torch, dtype))
    back = there_and_back({"a": [tensor, {"b": tensor.T if tensor.ndim == 2 else tensor}]})
    assert torch.equal(back["a"][0], tensor)
    assert back["a"][0].dtype == tensor.dtype


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint32", "bool"])
def test_arrays_come_back_with_their_type(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    array.flags.writeable = False
    back = there_and_back([array])[0]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    back[0] = 1  # it is the reader's own


def test_nan_infinity_numpy_scalars_and_counters():
    back = there_and_back({"nan": math.nan, "low": -math.inf, "scalar": np.float64(0.1), "count": Counter([2, 2, 5])})
    assert math.isnan(back["nan"])
    assert (back["low"], back["scalar"], back["count"]) == (-math.inf, 0.1, Counter({2: 2, 5: 1}))
    assert isinstance(back["count"], Counter)
    assert there_and_back(OrderedDict(b=1, a=2)) == {"b": 1, "a": 2}


def test_random_states_survive():
    legacy = np.random.RandomState(3).get_state()
    state = there_and_back({"numpy": legacy, "python": random.Random(3).getstate(), "torch": torch.get_rng_state()})
    assert random.Random(3).getstate() == state["python"]
    again = np.random.RandomState(0)
    again.set_state(state["numpy"])
    assert again.rand() == np.random.RandomState(3).rand()


def test_tensors_that_share_memory_are_stored_apart():
    both = torch.arange(4.0)
    _, tensors = pack([both, both[:2], both])
    assert len({tensor.data_ptr() for tensor in tensors.values()}) == 3


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", lambda: 0, np.array(["text"]), torch.float32])
def test_what_cannot_be_kept_is_named(value):
    with pytest.raises(TypeError, match=r"state\.policies\.mine\.1 is a"):
        pack({"policies": {"mine": [0, value]}})


@pytest.mark.parametrize("tree", [{"$": "object"}, {"$": "tensor"}, {"$": "array", "name": "x"}, {"$": "tuple"}, {"$": ["a"]}])
def test_a_made_up_tree_is_an_error(tree):
    with pytest.raises((KeyError, TypeError, ValueError)):
        unpack(tree, {}.__getitem__, CPU)


def test_what_was_on_a_device_goes_back_to_one_and_the_rest_stays():
    tree, tensors = pack({"weights": torch.ones(2), "generator": torch.ones(2)})
    tree["weights"]["device"] = "cuda"
    state = unpack(tree, tensors.__getitem__, torch.device("meta"))
    assert (state["weights"].device.type, state["generator"].device.type) == ("meta", "cpu")
