"""A random stream for each sample, so that results do not depend on how the samples are batched."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["sample_seeds"]


def sample_seeds(seed: int, name: str, indices: Sequence[int]) -> tuple[int, ...]:
    """One seed a sample that depends on nothing but the arguments: neither on the batch nor on the machine.

    Args:
        seed: of the evaluation.
        name: what is drawn for, such as the registered name of an attack.
        indices: (n,) positions of the samples in the data.

    Returns:
        (n,) numbers in [0, 2**63).
    """
    stem = blake2b(f"{seed}/{name}/".encode(), digest_size=8)

    def one(index: int) -> int:
        digest = stem.copy()
        digest.update(str(int(index)).encode())
        return int.from_bytes(digest.digest(), "little") >> 1

    return tuple(one(index) for index in indices)
