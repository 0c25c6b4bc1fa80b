"""What each member of an ensemble says about the samples, beside what the ensemble says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairart.engine.network import Network
from fairart.evaluation.results.ensemble_results import EnsembleResults, MemberVotes
from fairart.evaluation.results.outcome import AttackResult
from fairart.evaluation.running.scores import Scores, ensemble_of, vote_columns

__all__ = ["votes_of"]


def votes_of(network: Network, results: Sequence[AttackResult], scores: Sequence[Scores]) -> EnsembleResults | None:
    """The members' predictions under every result; None where the model is no ensemble.

    Args:
        network: what was evaluated.
        results: clean data and attacks.
        scores: those of each result, with the members' predictions.
    """
    ensemble = ensemble_of(network)
    if ensemble is None:
        return None
    columns = vote_columns(network)
    votes = [
        MemberVotes(result, np.stack([found.more[column] for column in columns]).astype(np.int64))
        for result, found in zip(results, scores, strict=True)
    ]
    return EnsembleResults(ensemble.names, ensemble.combine, votes)
