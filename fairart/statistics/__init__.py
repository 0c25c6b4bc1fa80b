"""Class-wise statistics: everything follows from one confusion matrix with rows true, columns predicted.

Pure functions of a (K, K) array of counts, and :class:`ConfusionMatrix` as a thin class over them. K is fixed; a class
without samples is NaN in every per-class rate and has count 0. Numbers over several seeds are in
:mod:`fairart.statistics.over_seeds`.
"""

from __future__ import annotations

from fairart.statistics.accuracies import accuracy, class_accuracy, one_vs_rest_accuracy, worst_class_accuracy
from fairart.statistics.by_value import ComparedByValue
from fairart.statistics.cfps import class_false_negative_score, class_false_positive_score
from fairart.statistics.confusion_matrix import ConfusionMatrix
from fairart.statistics.epoch import EpochStatistics, ValidationStatistics
from fairart.statistics.groups import Groups
from fairart.statistics.learnt_labels import LearntLabels, learnt_labels
from fairart.statistics.over_seeds import MeanInterval, detectable_difference, holm, mean_interval, price_of_comparisons
from fairart.statistics.rank_agreement import RankAgreement, mean_agreement, rank_agreement
from fairart.statistics.rank_correlation import RankCorrelation, rank_correlation

__all__ = [
    "ComparedByValue",
    "ConfusionMatrix",
    "EpochStatistics",
    "Groups",
    "LearntLabels",
    "MeanInterval",
    "RankAgreement",
    "RankCorrelation",
    "ValidationStatistics",
    "accuracy",
    "class_accuracy",
    "class_false_negative_score",
    "class_false_positive_score",
    "detectable_difference",
    "holm",
    "learnt_labels",
    "mean_agreement",
    "mean_interval",
    "one_vs_rest_accuracy",
    "price_of_comparisons",
    "rank_agreement",
    "rank_correlation",
    "worst_class_accuracy",
]
