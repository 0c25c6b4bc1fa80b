"""Corrupted test images of a data set as a folder, for ``fairart corrupt``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from fairart.corruptions import SEVERITIES, corruption_names, write_corruptions
from fairart.corruptions.textures import load_textures
from fairart.datasets.stored import select
from fairart.plugins import registered
from fairart.runs.build import load_dataset, resolved_device
from fairart.runs.evaluation import Limit, choose_images

__all__ = ["corrupt_dataset"]


def corrupt_dataset(
    dataset: str,
    folder: str | Path,
    *,
    corruptions: str = "all",
    options: Mapping[str, Mapping[str, Any]] | None = None,
    data_root: str | None = None,
    seed: int = 0,
    limit: Limit = None,
    device: str = "auto",
    overwrite: bool = False,
    verbose: bool = True,
) -> dict[str, Any]:
    """Write corrupted versions of the test images of a data set, in the layout of CIFAR-10-C.

    An interrupted call is resumed; a later call with more corruptions of the same images adds them.

    Args:
        dataset: registered name, or ``npz:PATH``, ``npy:FOLDER`` or ``folder:FOLDER``.
        folder: created if it does not exist.
        corruptions: named sets and names with commas, see :func:`fairart.corruptions.corruption_names`.
        options: name of a corruption, or ``"dataset"`` -> option -> value.
        data_root: folder of the data files.
        seed: of the corruptions, and of the choice under ``limit``.
        limit: use that many test images, or ``"100/class"``, drawn at random as ``fairart evaluate`` draws them.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        overwrite: replace what fairart wrote there before.
        verbose: show a progress bar on standard error if it is a terminal.

    Returns:
        Folder, data set, number of images, corruptions and seed: plain values.

    Raises:
        OptionError, UnknownNameError, DatasetError, DownloadError: an unknown name or option, or data that cannot be read.
        MissingTexturesError: frost is requested, and its pictures are not installed.
        FileExistsError: the folder contains other files.
    """
    names = corruption_names(corruptions, known=tuple(registered("corruption")))
    chosen = {name: dict(given) for name, given in (options or {}).items()}
    of_data = chosen.pop("dataset", {})
    where = resolved_device(device)
    if "frost" in names:
        load_textures(chosen.get("frost", {}).get("textures"))  # before data are read, or fetched
    data = load_dataset(dataset, data_root=data_root, options=of_data).with_readable_test()
    keep = choose_images(data.y_test, limit, seed)
    x, y = select(data.x_test, keep), data.y_test[keep]
    about = {"dataset": dataset, "split": "test", "dataset_options": of_data, "classes": list(data.classes)}
    with tqdm(total=len(names) * len(SEVERITIES) * len(y), unit="image", disable=None if verbose else True) as bar:

        def tell(name: str, images: int) -> None:
            bar.set_description(name, refresh=not images)
            bar.update(images)

        target = write_corruptions(
            x,
            y,
            folder,
            corruptions=names,
            seed=seed,
            options=chosen,
            device=where,
            resume=True,
            overwrite=overwrite,
            about=about,
            progress=tell,
        )
    return {"folder": str(target), "dataset": dataset, "nb_images": len(y), "corruptions": list(names), "seed": seed}
