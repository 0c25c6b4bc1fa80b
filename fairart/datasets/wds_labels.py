"""The labels of tar shards: which member has them, and what classes their texts are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairart.datasets.base import DatasetError
from fairart.datasets.image_files import Labels
from fairart.datasets.tar_images import Sample
from fairart.errors import OptionError

__all__ = ["CLASSES", "LabelMember", "classes_of"]

CLASSES = "classes.txt"
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class LabelMember:
    """Where the label of a sample is.

    Args:
        ending: of the member, in lower case.
        field: of its JSON document; empty where the whole member is the label.
    """

    ending: str
    field: str = ""

    @classmethod
    def of(cls, text: str) -> LabelMember:
        """Read ``"cls"`` or ``"json:label"``.

        Raises:
            OptionError: something else.
        """
        ending, colon, field = text.partition(":")
        ending = ending.removeprefix(".").lower()
        if not ending or (ending == "json") != bool(field) or (colon and not field):
            raise OptionError(
                f"dataset 'wds': label expects an ending such as cls, or json:FIELD such as json:label, got {text!r}"
            )
        return cls(ending, field)

    def label(self, sample: Sample, shard: Path) -> str:
        """The label of a sample as a text.

        Args:
            sample: of the shard.
            shard: as errors name it.

        Raises:
            DatasetError: no such field, or one that is neither a whole number nor a text.
        """
        where = f"{shard}: the label of {sample.name!r}"
        if not self.field:
            found: object = sample.label.strip("\0 \t\r\n")
        else:
            try:
                document = json.loads(sample.label)
            except ValueError as error:
                raise DatasetError(f"{where} is no JSON: {error}") from error
            if not isinstance(document, dict) or self.field not in document:
                there = ", ".join(map(str, document)) if isinstance(document, dict) else type(document).__name__
                raise DatasetError(f"{where} has no field {self.field!r}; there: {there or 'nothing'}")
            found = document[self.field]
        if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
            raise DatasetError(f"{where} must be a whole number or a name, got {found!r}")
        return str(found)


def classes_of(texts: Mapping[str, Sequence[str]], folder: Path) -> tuple[dict[str, Labels], tuple[str, ...]]:
    """Labels of each split, and the names of the classes.

    Args:
        texts: the labels of each split: all whole numbers from 0, or all names.
        folder: may hold ``classes.txt`` with a name in each line, in the order of the numbers.

    Raises:
        DatasetError: numbers among names, numbers without a name or left out, or names that ``classes.txt`` does not have.
    """
    every = sorted({text for own in texts.values() for text in own})
    numbers = [text for text in every if NUMBER.fullmatch(text)]
    given = _given(folder / CLASSES)
    if not numbers:
        classes = given or tuple(every)
        unknown = sorted(set(every) - set(classes))
        if unknown:
            raise DatasetError(f"{folder}: label {unknown[0]!r} is not among the {len(classes)} classes of {folder / CLASSES}")
        place = {name: number for number, name in enumerate(classes)}
        return {split: np.array([place[text] for text in own], dtype=np.int64) for split, own in texts.items()}, classes
    odd = [text for text in every if text not in numbers]
    if odd:
        raise DatasetError(
            f"{folder}: labels must be whole numbers from 0, or names; {odd[0]!r} stands among numbers such as {numbers[0]!r}"
        )
    highest, different = max(map(int, numbers)), {int(text) for text in numbers}
    if given and highest >= len(given):
        raise DatasetError(
            f"{folder}: a label is {highest}, and {folder / CLASSES} names {len(given)} classes, 0 to {len(given) - 1}"
        )
    if not given and len(different) <= highest:
        missing = next(number for number in range(highest + 1) if number not in different)
        raise DatasetError(
            f"{folder}: labels go up to {highest}, and none is {missing}; a {CLASSES} with a name for every number says that it "
            "is meant so"
        )
    labels = {split: np.array([int(text) for text in own], dtype=np.int64) for split, own in texts.items()}
    return labels, given or tuple(map(str, range(highest + 1)))


def _given(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        return ()
    try:
        # With or without the mark that Windows programs begin a file with.
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} must be text in UTF-8: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) != len(names):
        raise DatasetError(f"{file} names a class twice")
    return names
