"""Results without the paths of the machine that made them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart.benchmark.portable import absolute_paths, portable, portable_json, portable_text

NAMES = st.text(st.characters(codec="ascii", exclude_characters="/\\"), min_size=1, max_size=8)
PATHS = st.builds("{}/{}/{}".format, st.sampled_from(["", "npz:", "folder:", "x=npz:"]), NAMES, NAMES)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10) | PATHS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("npz:/data/big/cifar.npz", "npz:cifar.npz"),
        ("/data/big/cifar.npz", "cifar.npz"),
        ("~/data/cifar.npz", "cifar.npz"),
        ("C:\\data\\cifar.npz", "cifar.npz"),
        ("folder:/data/images/", "folder:images"),
        ("blurred=npz:/data/b.npz", "blurred=npz:b.npz"),
        ("npz:data/cifar.npz", "npz:data/cifar.npz"),
        ("symmetric:0.2", "symmetric:0.2"),
        ("T-shirt/top", "T-shirt/top"),
        (
            {"data_root": "/home/me/data", "plugins_dir": "plugins", "lr": 0.1},
            {"data_root": None, "plugins_dir": None, "lr": 0.1},
        ),
        ([["pgd", {"surrogate": "/runs/at"}]], [["pgd", {"surrogate": "at"}]]),
    ],
)
def test_paths_are_cut_to_their_last_part(given: object, expected: object) -> None:
    assert portable(given) == expected


@given(VALUES)
def test_no_absolute_path_is_left_and_twice_is_once(value: object) -> None:
    once = portable(value)
    assert absolute_paths(once) == []
    assert portable(once) == once


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(allow_nan=False) | st.integers(), max_size=2))
def test_a_file_without_paths_keeps_its_bytes(value: object) -> None:
    contents = json.dumps(value, indent=3).encode()
    assert portable_json(contents) is contents


def test_sentences_lose_the_folders() -> None:
    assert portable_text("no file /home/me/runs/x.npz: expected one in '~/data/'") == "no file x.npz: expected one in ''"
    assert portable_text("1/2 of T-shirt/top, 3 / 4") == "1/2 of T-shirt/top, 3 / 4"
