"""Data sets: one :class:`Dataset` of arrays, or of images that stay on disk, and loaders that are registered by name.

Importing this package loads numpy alone; a loader imports what it needs when it is called::

    from fairart import create

    data = create("dataset", "fashion-mnist", data_root="data")
"""

from __future__ import annotations

from fairart.datasets.base import Dataset, DatasetError, DownloadError, data_folder
from fairart.datasets.stored import StoredImages

__all__ = ["Dataset", "DatasetError", "DownloadError", "StoredImages", "data_folder"]
