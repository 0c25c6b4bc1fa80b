"""Every training sample once an epoch."""

from __future__ import annotations

from typing import ClassVar

from fairart.policies.class_samplings.base import ClassSampling

__all__ = ["NaturalSampling"]


class NaturalSampling(ClassSampling):
    """Every sample once an epoch, in random order: classes are drawn as often as the training set has them."""

    needs: ClassVar[frozenset[str]] = frozenset()
    permutes: ClassVar[bool] = True

    def start(self, nb_classes: int) -> None:
        """Begin a run with the shares of the classes in the training set, or equal ones where nobody has counted them."""
        super().start(nb_classes)
        if self.class_counts is not None and self.class_counts.sum() > 0:
            self.current = self.class_counts / self.class_counts.sum()
