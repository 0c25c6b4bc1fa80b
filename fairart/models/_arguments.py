"""The arguments that every model takes, declared and checked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fairart.errors import OptionError
from fairart.plugins.options import Option, validate_options

__all__ = ["InputShape", "NbClasses", "checked_shape"]

InputShape = Annotated[Sequence[int], Option("channels, height and width of an image: (C, H, W)")]
NbClasses = Annotated[int, Option("number of classes K", low=2)]


def checked_shape(
    build: Callable[..., Any], name: str, *, min_side: int, input_shape: Sequence[int], **options: Any
) -> tuple[int, int, int]:
    """Check the arguments of a model against what its function declares.

    Args:
        build: the model's function.
        name: its registered name, for messages.
        min_side: smallest height and width that its strides leave something of, in pixels.
        input_shape: (C, H, W).
        **options: all other arguments.

    Returns:
        (C, H, W) as plain integers.

    Raises:
        OptionError: an argument is of the wrong type or outside its range.
    """
    where = f"model {name!r}"
    validate_options(build, {"input_shape": input_shape, **options}, where=where)
    # numpy integers, as in ``x.shape`` after arithmetic, have __index__ too; floats and bools are mistakes.
    whole = all(hasattr(side, "__index__") and not isinstance(side, bool) for side in input_shape)
    if len(input_shape) != 3 or not whole or min(input_shape) < 1:
        raise OptionError(f"{where}: input_shape must be three positive integers (C, H, W), got {input_shape!r}")
    channels, height, width = (int(side) for side in input_shape)
    if min(height, width) < min_side:
        raise OptionError(
            f"{where} needs images of at least {min_side}x{min_side} pixels, got {height}x{width} "
            f"(input_shape {input_shape!r} is read as (C, H, W))"
        )
    return channels, height, width
