"""Evaluations and histories made by hand, so that every number is known."""

import numpy as np

from fairart.evaluation import AttackResult, EvaluationResult


def evaluation(rates, *, per_class=20, names=None):
    """attack -> K rates that are multiples of 1 / per_class; an absent class has NaN."""
    results = []
    for label, shares in rates.items():
        shares = np.asarray(shares, dtype=float)
        counts = np.where(np.isnan(shares), 0, per_class)
        labels = np.repeat(np.arange(len(shares)), counts)
        place = np.concatenate([np.arange(count) for count in counts])
        right = place < np.rint(np.nan_to_num(shares) * per_class)[labels]
        predictions = np.where(right, labels, (labels + 1) % len(shares))
        results.append(
            AttackResult(
                label=label, labels=labels, predictions=predictions, nb_classes=len(shares), config={}, class_names=names
            )
        )
    return EvaluationResult(results)


def rates(seed, *, nb_classes=10, per_class=20):
    generator = np.random.default_rng(seed)
    return {label: generator.integers(low, per_class + 1, nb_classes) / per_class for label, low in (("clean", 15), ("pgd", 3))}


def history(seed, *, nb_classes=10, nb_epochs=6, targets=True):
    """Epochs as in ``history.jsonl``, of unbalanced classes."""
    generator = np.random.default_rng(seed)
    epochs = []
    for epoch in range(nb_epochs):
        table = generator.random((nb_classes, nb_classes))
        np.fill_diagonal(table, 0)
        epochs.append(
            {
                "epoch": epoch,
                "robust": np.diag(np.arange(1, nb_classes + 1)).tolist(),
                "epsilons": (0.1 + 0.1 * generator.random(nb_classes)).tolist(),
                "target_probabilities": (table / table.sum(axis=1, keepdims=True)).tolist() if targets else None,
            }
        )
    return epochs
