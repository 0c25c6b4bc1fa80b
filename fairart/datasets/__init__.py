"""Data sets: one :class:`Dataset` of arrays, and loaders that are registered by name.

Importing this package loads numpy alone; a loader imports what it needs when it is called::

    from fairart import create

    data = create("dataset", "fashion-mnist", data_root="data")
"""

from __future__ import annotations

from fairart.datasets.base import Dataset, DatasetError, DownloadError, data_folder

__all__ = ["Dataset", "DatasetError", "DownloadError", "data_folder"]
