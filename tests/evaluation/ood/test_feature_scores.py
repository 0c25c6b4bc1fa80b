"""Mahalanobis distance and nearest neighbours against formulas in double precision."""

import sys

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors
from torch import nn

from fairart.errors import OptionError
from fairart.evaluation.ood.features import FeatureTap, fit_scores


def features_of(classifier, x):
    with torch.no_grad():
        return classifier.model[:3]((torch.from_numpy(x) - 0.3) / 0.4).double().numpy()


def test_the_scores_of_scikit_learn(run, classifier, data):
    pytest.importorskip("pytorch_ood")
    fit = data.x_train, data.y_train
    ood = run({"noise": "noise", "blurred": "blurred"}, scores="mahalanobis,knn", fit=fit, neighbours=7).ood
    z, test = features_of(classifier, data.x_train), features_of(classifier, data.x_test[:90])
    means = np.stack([z[data.y_train == label].mean(axis=0) for label in range(10)])
    shared = EmpiricalCovariance(assume_centered=True).fit(z - means[data.y_train])
    # The package sums over the training images where a covariance divides by their number.
    squared = np.min([shared.mahalanobis(test - mean) for mean in means], axis=0) / len(z)
    np.testing.assert_allclose(ood.inliers.scores["mahalanobis"], -squared / 2, rtol=1e-2)
    unit, own = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (z, test))
    far = NearestNeighbors(n_neighbors=7).fit(unit).kneighbors(own)[0][:, -1]
    np.testing.assert_allclose(ood.inliers.scores["knn"], -far, rtol=1e-3, atol=1e-5)
    assert ood.config["fitted on"] == f"{len(z)} training images"
    assert ood.config["fitted by"].startswith("pytorch-ood 0.")
    assert ood.detection("noise", "mahalanobis").auroc > 0.9


def test_classes_without_training_images_have_no_mean(data):
    pytest.importorskip("pytorch_ood")
    z = torch.from_numpy(data.x_train).flatten(1)
    some = np.isin(data.y_train, (1, 4, 8))
    gaps = fit_scores(["mahalanobis"], z[some], data.y_train[some], neighbours=5)["mahalanobis"]
    packed = fit_scores(["mahalanobis"], z[some], np.searchsorted([1, 4, 8], data.y_train[some]), neighbours=5)["mahalanobis"]
    torch.testing.assert_close(gaps(z[:9]), packed(z[:9]))


def test_too_many_neighbours_and_a_missing_package_are_named(run, data, monkeypatch):
    pytest.importorskip("pytorch_ood")
    fit = data.x_train[:20], data.y_train[:20]
    with pytest.raises(OptionError, match="at most the number of training images, 20, got 50"):
        run({"noise": "noise"}, scores="knn", fit=fit)
    monkeypatch.setitem(sys.modules, "pytorch_ood", None)
    with pytest.raises(ImportError, match=r"fairart\[ood\]"):
        run({"noise": "noise"}, scores="knn", fit=fit)
    assert run({"noise": "noise"}, number=20).ood.scores == ("energy", "msp", "max-logit", "entropy")


def test_training_images_are_no_outliers(run, data):
    pytest.importorskip("pytorch_ood")
    with pytest.raises(ValueError, match="20 of the 20 images of 'theirs' are test or training images"):
        run({"theirs": data.x_train[:20]}, scores="knn", fit=(data.x_train, data.y_train), neighbours=5)


def test_a_model_that_ends_in_something_else_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 4, 8), nn.Flatten())
    with pytest.raises(OptionError, match="features before the last layer"):
        FeatureTap(model, 4)


def test_a_last_layer_that_is_not_called_is_named():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    tap = FeatureTap(model, 10)
    with tap.listening(), pytest.raises(OptionError, match="called once with all 5 samples of a batch, got none"):
        tap.features(5)
    with tap.listening():
        model(torch.zeros(5, 1, 8, 8))
        assert tap.features(5).shape == (5, 64)
    assert not model[1]._forward_pre_hooks


def test_features_with_postprocessing_of_art_are_still_those_of_the_model(data):
    pytest.importorskip("pytorch_ood")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    tap = FeatureTap(classifier.model, 10)
    with tap.listening():
        classifier.predict(data.x_test[:6])
        np.testing.assert_allclose(tap.features(6), data.x_test[:6].reshape(6, -1))
