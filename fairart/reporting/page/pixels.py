"""Tables of numbers as tiny images: one pixel a number, strength by opacity, so that they suit light and dark pages."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

__all__ = ["data_uri", "opacities"]

FAINTEST = 0.05
"""Opacity of the lowest value, so that it differs from a missing one."""


def opacities(table: npt.NDArray[np.float64], *, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Values as opacities in 0..255; 0 for NaN.

    Args:
        table: (rows, columns).
        low: value of the faintest pixel.
        high: value of the strongest one.
    """
    span = high - low if high > low else 1.0
    with np.errstate(invalid="ignore"):
        share = FAINTEST + (1 - FAINTEST) * np.clip((table - low) / span, 0, 1)
    return np.rint(255 * np.nan_to_num(share)).astype(np.uint8)


def data_uri(alpha: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> str:
    """A PNG of one colour, as a ``data:`` address.

    Args:
        alpha: (rows, columns) opacities.
        colour: red, green and blue in 0..255.
    """
    rows, columns = alpha.shape
    # A palette of one colour in 256 opacities keeps it at a byte a pixel.
    scanlines = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(alpha))
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        _chunk(b"PLTE", bytes(colour) * 256),
        _chunk(b"tRNS", bytes(range(256))),
        _chunk(b"IDAT", zlib.compress(scanlines, 9)),
        _chunk(b"IEND", b""),
    ]
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
