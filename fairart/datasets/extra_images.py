"""Extra training images from the user's own files, which need no test images: generated or pseudo-labelled ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fairart.datasets._arrays import find_file
from fairart.datasets._images import list_split, split_folders
from fairart.datasets.base import Dataset, DatasetError
from fairart.datasets.files import read_training_arrays
from fairart.datasets.image_files import ImageFiles
from fairart.datasets.image_view import ImageView
from fairart.datasets.memory import stays_on_disk
from fairart.datasets.stored import Images

__all__ = ["ExtraImages", "read_extra_images"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtraImages:
    """Images with labels, and what their labels mean.

    Args:
        name: what errors call them.
        x: (n, C, H, W) uint8, or float32 in [0, 1]; an array, or images on disk.
        y: (n,) labels.
        classes: names of the labels; None where the file has none.
    """

    name: str
    x: Images
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...] | None

    def labels_for(self, data: Dataset) -> npt.NDArray[np.int64]:
        """(n,) labels as another data set counts its classes: matched by name, as they are where there are no names.

        Args:
            data: the data set; it may have classes that these images have none of.

        Raises:
            DatasetError: a class, or a label, that the data set does not have.
        """
        if self.classes is None:
            if len(self.y) and not 0 <= self.y.min() <= self.y.max() < data.nb_classes:
                raise DatasetError(
                    f"{self.name}: labels must lie in 0..{data.nb_classes - 1}, the classes of {data.name}, got "
                    f"{self.y.min()}..{self.y.max()}"
                )
            return self.y
        unknown = [label for label in self.classes if label not in data.classes]
        if unknown:
            known = ", ".join(data.classes[:10]) + (", ..." if data.nb_classes > 10 else "")
            raise DatasetError(f"{self.name}: class {unknown[0]!r} is none of the classes of {data.name}: {known}")
        places = np.array([data.classes.index(label) for label in self.classes], dtype=np.int64)
        return places[self.y]


def read_extra_images(kind: str, path: str, *, data_root: str | None, channels: int) -> ExtraImages:
    """Read the training images of an .npz file (x_train, y_train and, if wanted, classes) or of a folder of images.

    Args:
        kind: ``"npz"``, or ``"folder"``: ``train/<class>/*.png``, or the class folders themselves.
        path: of the file or folder; a relative one is looked for here, then in ``data_root``.
        data_root: folder of the data files.
        channels: 1 or 3, how a folder's images are read.

    Raises:
        FileNotFoundError: there is no such file or folder.
        DatasetError: it holds no images with labels.
    """
    place = find_file(path, data_root)
    name = f"{kind}:{path}"
    if kind == "npz":
        if not place.is_file():
            raise FileNotFoundError(f"there is no file {place}")
        return ExtraImages(name=name, **read_training_arrays(place))
    if not place.is_dir():
        raise FileNotFoundError(f"there is no folder {place}")
    # A share for testing is only named so that a missing folder of test images is no error; nothing is drawn.
    splits, classes = split_folders(place, None if (place / "test").is_dir() else 0.5)
    if "train" not in splits:
        raise DatasetError(f"{place} has test images alone: expected train/<class>/*.png")
    names, labels = list_split(splits["train"], classes)
    view = ImageView(grey=channels == 1)
    _, height, width = view.pixels(names[0]).shape
    files = ImageFiles(names, labels, replace(view, shape=(height, width)), (height, width))
    on_disk, _ = stays_on_disk(files.nbytes, None, where=name)
    return ExtraImages(name=name, x=files if on_disk else files[:], y=labels, classes=classes)
