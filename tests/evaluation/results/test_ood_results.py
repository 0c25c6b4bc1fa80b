"""Results of outliers made by hand: their rules, their tables, and what damaged files say."""

import json

import numpy as np
import pytest

from fairart.evaluation import AttackResult, EvaluationResult, OodResults
from fairart.evaluation.errors import DamagedFileError
from fairart.evaluation.results.ood_results import AttackedScores, ScoredImages
from fairart.evaluation.results.ood_table import ood_class_grid, ood_grid, ood_notes

NAMES = ("cat", "dog", "bird")


def clean(number, nb_classes):
    labels = np.arange(number) % nb_classes
    return AttackResult(label="clean", labels=labels, predictions=labels, nb_classes=nb_classes, config={})


def scored(predictions, **scores):
    predictions = np.asarray(predictions)
    return ScoredImages(
        predictions, np.full(len(predictions), 0.5), {name: np.asarray(values, float) for name, values in scores.items()}
    )


@pytest.fixture
def ood():
    # 12 test images of each class with scores 1 to 36; a dozen outliers taken for cats below all of them, a dozen for dogs above.
    inliers = scored(np.arange(36) % 3, energy=np.arange(1, 37))
    outliers = scored([0] * 12 + [1] * 12, energy=[*np.arange(-12, 0), *np.arange(100, 112)])
    driven = scored([0, 1, 2, 0, 1, 0], energy=[50] * 6)
    return OodResults(
        inliers,
        {"noise": outliers, "fooling": driven},
        nb_classes=3,
        class_names=NAMES,
        attacked={
            "energy": AttackedScores(
                scored(np.arange(36) % 3, energy=np.zeros(36)), {"noise": scored([1] * 24, energy=[200] * 24)}
            )
        },
        config={
            "sets": {
                "noise": {"source": "uniform noise", "dataset": "noise"},
                "fooling": {"source": "driven noise", "targets": "each class in turn"},
            },
            "attack": {"scores": ["energy"], "eps": 0.1, "max_iter": 3},
            "fitted on": "90 training images",
            "fitted by": "pytorch-ood 9",
        },
    )


def test_numbers_by_hand(ood):
    found = ood.detection("noise")
    assert found.auroc == 0.5
    np.testing.assert_array_equal(found.class_auroc, [1, 0, np.nan])
    np.testing.assert_array_equal(found.class_fpr, [0, 1, np.nan])
    np.testing.assert_array_equal(found.predicted_share, [0.5, 0.5, 0])
    # 35 of 36 test images are kept: 34 would be less than 95 %.
    assert found.threshold == 2
    assert found.fpr == 0.5
    np.testing.assert_array_equal(found.class_passed, [0, 12, 0])
    np.testing.assert_array_equal(found.swallowed_share, [0, 1, 0])
    np.testing.assert_allclose(found.class_kept, [11 / 12, 1, 1])
    assert (found.worst_class, found.worst_class_auroc) == (1, 0)
    few = ood.detection("fooling")
    assert few.worst_class is None
    assert np.isnan(few.worst_class_auroc)
    assert ood.detection("noise", attacked="both").auroc == 0
    np.testing.assert_allclose(ood.target_rates("fooling"), [1, 1, 0.5])


def test_nothing_that_passes_swallows_nothing():
    ood = OodResults(scored([0, 1], energy=[3, 4]), {"far": scored([0, 0], energy=[1, 2])}, nb_classes=2)
    assert np.isnan(ood.detection("far").swallowed_share).all()
    assert "pass" not in " ".join(ood_notes(ood)[3:])


def test_tables(ood):
    grid = ood_grid(ood, intervals=False)
    assert [row[:4] for row in grid.rows] == [
        *(["noise", "24", "energy", attacked] for attacked in ("-", "outliers raised", "test images lowered", "both")),
        *(["fooling", "6", "energy", attacked] for attacked in ("-", "test images lowered")),
    ]
    assert grid.rows[0][4:] == ["50.0", f"{100 * ood.detection('noise').aupr_in:.1f}", grid.rows[0][6], "50.0", "0.0 dog"]
    low, high = ood.detection("noise").auroc_interval
    assert ood_grid(ood).rows[0][4] == f"50.0 [{100 * low:.1f}, {100 * high:.1f}]"
    classes = ood_class_grid(ood)
    assert classes.rows[0] == ["cat", "12", "50.0 / 100.0 / 0.0", f"50.0 / {0:.1f} / 100.0"]
    assert classes.rows[2][2] == "0.0 / - / -"
    assert classes.rows[3][:3] == ["overall", "36", "100.0 / 50.0 / 50.0"]
    notes = ood_notes(ood)
    assert "noise: uniform noise; 50.0 % are taken for cat; 12 pass energy at 95 % TPR, 100.0 % of them as dog" in notes
    assert any(note.endswith("83.3 % reach the class that they are driven to, fewest bird (50.0 %)") for note in notes)
    assert "attacked scores: energy, by PGD(eps=0.1, max_iter=3)" in notes
    assert "mahalanobis and knn: fitted on 90 training images by pytorch-ood 9" in notes


def test_the_result_prints_it_for_terminals_and_notebooks(ood):
    result = EvaluationResult([clean(36, 3)], ood=ood)
    assert "outliers raised" in result.table()
    assert "predicted class" in result.table(intervals=False)
    assert "outliers raised" in result._repr_html_()
    with pytest.raises(ValueError, match="outliers have another number of classes than 4"):
        EvaluationResult([clean(8, 4)], ood=ood)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"inliers": None}, "expected both, or neither"),
        ({"outliers": {}}, "expected both, or neither"),
        ({"outliers": {"a": scored([0, 3], energy=[1, 2])}}, r"a: predicted classes must lie in 0\.\.2"),
        ({"outliers": {"a": scored([0, 1], msp=[1, 2])}}, "a has the scores msp, expected energy"),
        ({"attacked": {"energy": AttackedScores(scored([0], msp=[1]))}}, "hold that score and no other"),
    ],
)
def test_results_that_do_not_fit_together(arguments, match):
    good = {"inliers": scored([0, 1], energy=[1, 2]), "outliers": {"a": scored([0], energy=[1])}, "nb_classes": 3, **arguments}
    with pytest.raises(ValueError, match=match):
        OodResults(good.pop("inliers"), good.pop("outliers"), **good)


def test_images_need_one_finite_score_each():
    with pytest.raises(ValueError, match=r"energy must have the shape of the predictions \(2,\), got \(1,\)"):
        scored([0, 1], energy=[1])
    with pytest.raises(ValueError, match="energy must be finite"):
        scored([0], energy=[np.nan])


def test_unknown_names_are_named(ood):
    for name, score, match in (("nois", None, "did you mean 'noise'"), ("noise", "enrgy", "no score 'enrgy'")):
        with pytest.raises(KeyError, match=match):
            ood.detection(name, score)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda part: part["sets"][0]["predictions"].pop(), "shape of the predictions"),
        (lambda part: part["inliers"]["predictions"].__setitem__(0, 1.5), "list of whole numbers"),
        (lambda part: part["inliers"]["values"]["energy"].__setitem__(5, -99), "AUROC of 'noise'"),
        (lambda part: part.pop("attacked"), "attacked"),
    ],
)
def test_damaged_files_are_named(ood, tmp_path, change, match):
    plain = EvaluationResult([clean(36, 3)], ood=ood).to_dict()
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(plain))
    assert EvaluationResult.load(path).to_dict() == plain
    change(plain["ood"])
    path.write_text(json.dumps(plain))
    with pytest.raises(DamagedFileError, match=match):
        EvaluationResult.load(path)
