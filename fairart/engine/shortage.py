"""Too little memory: errors that say so, in whatever words, become one that says what was asked for."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator

import torch

from fairart.datasets.memory import available_memory, memory_text
from fairart.errors import NotEnoughMemoryError

__all__ = ["free_memory", "is_out_of_memory", "let_go", "memory_shortage", "shortage_explained"]

WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "not enough memory",
    "std::bad_alloc",
    "cudnn_status_alloc_failed",
    "cublas_status_alloc_failed",
)
"""How libraries say it where they have no exception of its own for it."""
ONEDNN = "could not create a primitive"
"""What oneDNN says of the CPU's memory, and of other matters."""
LITTLE = 256 << 20
"""Bytes of free memory under which oneDNN's words are taken to be of memory."""
DEPTH = 20
"""Errors in a chain that are looked at: one may have been made the cause of itself by mistake."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that memory ran out: by its type or its words, or those of the error that it came from.

    Args:
        error: any error, or None.
    """
    for _ in range(DEPTH):
        if error is None:
            return False
        if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError | NotEnoughMemoryError):
            return True
        # Other types quote the user's words: a file may have any name.
        if isinstance(error, RuntimeError | OSError) and _says_so(str(error).lower()):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_so(text: str) -> bool:
    return any(words in text for words in WORDS) or (ONEDNN in text and available_memory() < LITTLE)


def free_memory(device: torch.device) -> int:
    """Bytes that this process could still use on a device.

    Args:
        device: the CPU, or a GPU; what torch keeps there for itself and does not use counts as free.
    """
    if device.type != "cuda":
        return available_memory()
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def let_go(error: BaseException) -> None:
    """Drop what an error's traceback holds, such as the tensors of the step that failed.

    Args:
        error: caught; functions that are still running keep their variables.
    """
    for _ in range(DEPTH):
        traceback.clear_frames(error.__traceback__)
        follows = error.__cause__ or error.__context__
        if follows is None:
            return
        error = follows


@contextlib.contextmanager
def memory_shortage(batch_size: int, device: torch.device) -> Iterator[None]:
    """While batches are computed: an error that says that memory ran out becomes one that says what did not fit.

    Args:
        batch_size: samples a batch.
        device: where.

    Raises:
        NotEnoughMemoryError: memory ran out.
    """
    free = free_memory(device)
    try:
        yield
    except Exception as error:
        if isinstance(error, NotEnoughMemoryError) or not is_out_of_memory(error):
            raise
        where = "the GPU's" if device.type == "cuda" else "the"
        raise NotEnoughMemoryError(
            f"batch {batch_size} does not fit into {where} {memory_text(free)} of free memory", batch_size=batch_size
        ) from error


@contextlib.contextmanager
def shortage_explained(explain: Callable[[Exception], NotEnoughMemoryError]) -> Iterator[None]:
    """While something runs: where memory runs out, a fuller error is raised, made once the memory of what failed is free.

    Args:
        explain: makes the error; it may try smaller batches.

    Raises:
        NotEnoughMemoryError: memory ran out.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failed = error
    if failed is not None:
        # Out of the block above, which holds the error's traceback by itself.
        let_go(failed)
        raise explain(failed) from failed
