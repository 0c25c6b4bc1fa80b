"""Evaluations, runs and histories made by hand, so that every number is known."""

import numpy as np

from fairart.evaluation import AttackResult, EvaluationResult
from fairart.evaluation.results.corruption_results import CorruptionResults
from fairart.reporting.run_results import Run


def evaluation(rates, *, per_class=20, names=None, confidences=None, corruptions=(), checks=(), options=None, config=None):
    """attack -> K rates that are multiples of 1 / per_class; an absent class has NaN.

    corruptions are (name, severity) pairs, each with the rates of the last attack; options are those of every attack, or
    those of each by its label.
    """
    results = []
    by_label = options and all(isinstance(own, dict) for own in options.values())
    each = options if by_label else dict.fromkeys(rates, options)
    for label, shares in rates.items():
        shares = np.asarray(shares, dtype=float)
        about = {"attack": "none" if label == "clean" else label, "options": each.get(label) or {}} if options is not None else {}
        counts = np.where(np.isnan(shares), 0, per_class)
        labels = np.repeat(np.arange(len(shares)), counts)
        place = np.concatenate([np.arange(count) for count in counts])
        right = place < np.rint(np.nan_to_num(shares) * per_class)[labels]
        results.append(
            AttackResult(
                label=label,
                labels=labels,
                predictions=np.where(right, labels, (labels + 1) % len(shares)),
                nb_classes=len(shares),
                config=about,
                class_names=names,
                confidences=None if confidences is None else np.full(len(labels), confidences),
            )
        )
    last = results[-1]
    corrupted = {
        (name, severity): AttackResult(
            label=f"{name}/{severity}",
            labels=last.labels,
            predictions=last.predictions,
            nb_classes=last.nb_classes,
            config={"corruption": name, "severity": severity},
        )
        for name, severity in corruptions
    }
    source = {"source": "made here", "version": 1, "seed": 0} if corrupted else {}
    return EvaluationResult(
        results, corruptions=CorruptionResults(corrupted, source=source), config=config or {"dataset": "made"}, checks=checks
    )


def rates(seed, *, nb_classes=10, per_class=20):
    generator = np.random.default_rng(seed)
    return {label: generator.integers(low, per_class + 1, nb_classes) / per_class for label, low in (("clean", 15), ("pgd", 3))}


def run(trainer, seed=0, *, nb_classes=10, result=True, epochs=3, name=None, notices=(), settings=None, **options):
    """A run with an evaluation of random rates; the rest is for :func:`evaluation`, ``rates`` among it."""
    number = sum(map(ord, trainer)) + 1000 * seed
    shares = options.pop("rates", None) or rates(number, nb_classes=nb_classes)
    config = {"trainer": trainer, "dataset": "made", "eps": 0.1, "options": {}, **(settings or {}), "seed": seed}
    return Run(
        name=name or f"runs/{trainer}-{seed}",
        trainer=trainer,
        config=config,
        history=history(number, nb_classes=nb_classes, nb_epochs=epochs, targets=trainer != "at"),
        result=evaluation(shares, **options) if result else None,
        notices=notices,
    )


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
                "loss": 2.0 / (1 + epoch),
                "robust": np.diag(np.arange(1, nb_classes + 1)).tolist(),
                "epsilons": (0.1 + 0.1 * generator.random(nb_classes)).tolist(),
                "target_probabilities": (table / table.sum(axis=1, keepdims=True)).tolist() if targets else None,
            }
        )
    return epochs
