"""Disagreement of members, counted again from their own predictions on the examples that the ensemble was attacked with."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from fairart.datasets.digits import load_digits
from fairart.errors import OptionError
from fairart.evaluation import EvaluationResult, evaluate
from fairart.evaluation.errors import DamagedFileError
from fairart.evaluation.ood.features import FeatureTap
from fairart.models import Ensemble


@pytest.fixture(scope="module")
def data():
    found = load_digits()
    return found.x_test[:150], found.y_test[:150]


@pytest.fixture(scope="module")
def members():
    """Three linear models, fitted for a moment, that disagree on some images."""
    digits, found = load_digits(), []
    x, y = torch.tensor(digits.x_train), torch.tensor(digits.y_train)
    for seed in range(3):
        torch.manual_seed(seed)
        rows = torch.randperm(len(x))[:150]
        model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 16), nn.ReLU(), nn.Linear(16, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model((x[rows] - 0.3) / 0.4), y[rows]).backward()
            optimizer.step()
        found.append(
            PyTorchClassifier(
                model=model,
                loss=nn.CrossEntropyLoss(),
                input_shape=digits.input_shape,
                nb_classes=10,
                clip_values=(0.0, 1.0),
                preprocessing=(0.3, 0.4),
                device_type="cpu",
            )
        )
    return found


@pytest.fixture(scope="module")
def result(members, data):
    ensemble = Ensemble(members, names=["a", "b", "c"])
    return evaluate(ensemble.classifier(), *data, attacks=[("pgd", {"eps": 0.1, "max_iter": 5})], sanity_samples=0, verbose=False)


def test_clean_votes_are_the_predictions_of_art(result, members, data):
    x, y = data
    votes = np.stack([one.predict(x).argmax(axis=1) for one in members])
    found = result.ensemble["clean"]
    np.testing.assert_array_equal(found.votes, votes)
    differ = np.array([len(set(column)) > 1 for column in votes.T])
    assert 0 < differ.sum() < len(y)
    assert found.disagreement == differ.mean()
    np.testing.assert_allclose(found.class_disagreement, [differ[y == k].mean() for k in range(10)])
    assert found.pairs == [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(found.pair_disagreement, [(votes[i] != votes[j]).mean() for i, j in found.pairs])
    np.testing.assert_allclose(found.class_pair_disagreement[2], [(votes[1] != votes[2])[y == k].mean() for k in range(10)])
    assert [confusion.accuracy for confusion in found.confusions] == [(row == y).mean() for row in votes]


def test_where_all_members_agree_the_ensemble_says_the_same(result):
    for votes in result.ensemble.values():
        np.testing.assert_array_equal(votes.result.predictions[~votes.disagree], votes.votes[0][~votes.disagree])


def test_the_attack_fools_the_ensemble_and_images_wrong_before_it_count_as_they_are(result):
    clean, attacked = result.ensemble["clean"], result.ensemble["pgd"]
    assert result["pgd"].accuracy < result["clean"].accuracy
    wrong = ~result["clean"].correct
    np.testing.assert_array_equal(attacked.votes[:, wrong], clean.votes[:, wrong])
    assert (attacked.votes[:, ~wrong] != clean.votes[:, ~wrong]).any()


def test_the_file_gives_the_same_back_and_a_changed_one_is_refused(result, tmp_path):
    file = result.save(tmp_path / "evaluation.json")
    again = EvaluationResult.load(file)
    assert again.to_dict() == result.to_dict()
    assert again.table() == result.table()
    plain = json.loads(file.read_text())
    assert plain["ensemble"]["members"] == ["a", "b", "c"]
    plain["ensemble"]["results"][0]["votes"][0] = [(vote + 1) % 10 for vote in plain["ensemble"]["results"][0]["votes"][0]]
    file.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="disagreement on 'clean' is not that of its votes"):
        EvaluationResult.load(file)
    plain["ensemble"]["results"][0]["votes"].pop()
    file.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match="votes on 'clean' must be"):
        EvaluationResult.load(file)


def test_partial_results_keep_the_votes_and_belong_to_one_way_of_combining(result, members, data, tmp_path):
    def again(combine):
        classifier = Ensemble(members, names=["a", "b", "c"], combine=combine).classifier()
        attacks = [("pgd", {"eps": 0.1, "max_iter": 5})]
        return evaluate(classifier, *data, attacks=attacks, sanity_samples=0, verbose=False, checkpoint=tmp_path / "partial")

    assert again("probabilities").to_dict() == result.to_dict()
    # Everything is kept by now: this reads it.
    assert again("probabilities").to_dict() == result.to_dict()
    with pytest.warns(UserWarning, match="another model"):
        other = again("logits")
    assert other.ensemble.combine == "logits"


def test_tables_and_other_models(result, members, data):
    assert "members disagree" in result.table()
    assert "a | b" in result.table()
    assert "members disagree" in result._repr_html_()
    alone = evaluate(members[0], *data, attacks=[], verbose=False)
    assert alone.ensemble is None
    assert "ensemble" not in alone.to_dict()
    assert "members disagree" not in alone.table()


def test_scores_that_need_one_last_layer_are_refused(members):
    with pytest.raises(OptionError, match="got an ensemble"):
        FeatureTap(Ensemble(members), 10)
