"""Packed files in place of plain ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairart import packed


@given(st.binary(max_size=2000))
def test_what_is_packed_comes_back(tmp_path_factory: pytest.TempPathFactory, contents: bytes) -> None:
    path = tmp_path_factory.mktemp("packed") / "file.json"
    packed.packed_path(path).write_bytes(packed.pack(contents))
    assert packed.read_bytes(path) == contents
    assert packed.sha256_of(path) == hashlib.sha256(contents).hexdigest()


def test_the_plain_file_comes_first_and_neither_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    assert not packed.is_file(path)
    assert packed.sha256_of(path) is None
    with pytest.raises(FileNotFoundError):
        packed.read_bytes(path)
    packed.packed_path(path).write_bytes(packed.pack(b"packed"))
    assert packed.is_file(path)
    path.write_bytes(b"plain")
    assert packed.read_bytes(path) == b"plain"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    whole = packed.pack(b"some contents that matter" * 10)
    for damaged in (whole[:-5], b"no archive", whole[:20] + b"x" + whole[21:]):
        packed.packed_path(path).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"file\.json\.xz is damaged"):
            packed.read_bytes(path)
        assert packed.sha256_of(path) is None
