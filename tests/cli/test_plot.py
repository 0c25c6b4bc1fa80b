"""``fairart plot``: every kind from a run's folder, and one line for what cannot be drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from fairart.cli.plot import KINDS
from fairart.evaluation import AttackResult, EvaluationResult


@pytest.fixture
def evaluated(fairart_command, trained):
    quick = ("--attack", "fgsm", "--limit", "60", "--corruptions", "contrast", "--quiet")
    assert fairart_command("evaluate", trained, *quick)[0] == 0
    return trained


def test_every_kind_is_drawn(fairart_command, evaluated, train, tmp_path):
    train("fair-tat", tmp_path / "targeted", "--quiet")
    for kind in KINDS:
        run = tmp_path / "targeted" if kind == "targets" else evaluated
        code, out, err = fairart_command("plot", kind, run, "--output", tmp_path / f"{kind}.png", "--json")
        assert (code, err) == (0, ""), kind
        more = {"score": "cfps", "rank_correlation": {}} if kind == "cfps" else {}  # one model: no correlation
        assert json.loads(out) == {"output": str(tmp_path / f"{kind}.png"), "kind": kind, **more}
        assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no kind of plot given; choose one of accuracy, cfps"),
        (("acuracy", "RUN"), "there is no plot 'acuracy'; did you mean 'accuracy'"),
        (("cfps",), "no run given: write 'fairart plot cfps RUN'"),
        (("cfps", "RUN", "--output", "plot.jpg"), "--output must end in .png, .svg, .pdf, got 'plot.jpg'"),
        (("cfps", "RUN", "--attack", "cw"), "plot cfps: attack 'cw' is not in every evaluation"),
        (("confusion", "RUN", "--attack", "a", "--attack", "b"), "plot confusion shows one attack, got 2"),
        (("accuracy", "RUN", "--score", "cfns"), "--score is of plot cfps, not of accuracy"),
        (("cfps", "RUN", "--score", "recall"), "invalid choice: 'recall'"),
        (("targets", "RUN"), "plot targets: no epoch has planned targets"),
        (("cfps", "RUN", "--output", "no/such/plot.png"), "there is no folder 'no/such'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(arguments, message, fairart_command, evaluated):
    code, out, err = fairart_command("plot", *(evaluated if one == "RUN" else one for one in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_run_that_is_not_evaluated_says_so(fairart_command, train, tmp_path):
    train("at", tmp_path / "new", "--quiet")
    code, _, err = fairart_command("plot", "accuracy", tmp_path / "new", "--output", tmp_path / "a.png")
    assert code == 2
    assert "is not evaluated yet: run 'fairart evaluate" in err


@pytest.fixture
def models(tmp_path):
    """Folders with nothing but an evaluation.json, as of models that were trained elsewhere; two of them have one name."""
    folders = [tmp_path / place for place in ("eval/Wong2020Fast", "eval/Rice2020", "other/Rice2020")]
    labels = np.arange(200) % 5
    for seed, folder in enumerate(folders):
        random = np.random.default_rng(seed)
        results = [
            AttackResult(
                label=label, nb_classes=5, labels=labels, config={"attack": label, "options": {}}, class_names=tuple("abcde"),
                predictions=np.where(random.random(200) < chance * (1 + labels) / 5, random.integers(0, 5, 200), labels),
            )
            for label, chance in (("clean", 0.2), ("pgd", 0.9))
        ]  # fmt: skip
        folder.mkdir(parents=True)
        EvaluationResult(results, config={"dataset": "cifar10"}).save(folder / "evaluation.json")
    return folders


@pytest.mark.parametrize("score", ["cfps", "cfns"])
def test_models_evaluated_elsewhere_are_drawn_with_their_rank_correlation(score, fairart_command, models, tmp_path):
    output = tmp_path / "models.png"
    code, out, err = fairart_command("plot", "cfps", *models, "--score", score, "--output", output, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["score"] == score
    assert list(found["rank_correlation"]) == ["clean", "pgd"]
    of_pgd = found["rank_correlation"]["pgd"]
    assert list(of_pgd) == [score, "class_accuracy"]
    names = ["Wong2020Fast", *(str(folder / "evaluation.json") for folder in models[1:])]
    assert of_pgd[score]["models"] == names
    assert [pair["models"] for pair in of_pgd[score]["pairs"]] == [names[:2], [names[0], names[2]], names[1:]]
    tables = [EvaluationResult.load(folder / "evaluation.json")["pgd"].class_accuracy for folder in models]
    expected = [spearmanr(tables[a], tables[b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [pair["correlation"] for pair in of_pgd["class_accuracy"]["pairs"]] == pytest.approx(expected)
    assert of_pgd["class_accuracy"]["mean"] == pytest.approx(np.mean(expected))

    code, out, err = fairart_command("plot", "cfps", *models[:2], "--score", score, "--output", output)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert [row[:4] for row in rows[3:7]] == [[a, s, "2", "5"] for a in ("clean", "pgd") for s in (score, "accuracy")]
    assert fairart_command("plot", "cfps", *models, "--output", output, "--quiet") == (0, "", "")


def test_one_model_evaluated_elsewhere_is_drawn_without_a_correlation(fairart_command, models, tmp_path):
    code, out, err = fairart_command("plot", "cfps", models[0], "--output", tmp_path / "one.png")
    assert (code, err, out) == (0, "", f"written to {tmp_path / 'one.png'}\n")


def test_models_evaluated_elsewhere_are_methods_of_their_own_in_every_command(fairart_command, models, tmp_path):
    code, out, err = fairart_command("compare", *models, "--json")
    assert (code, err) == (0, "")
    assert list(json.loads(out)["methods"]) == ["Wong2020Fast", *(str(folder / "evaluation.json") for folder in models[1:])]
    assert fairart_command("report", *models, "--output", tmp_path / "page.html", "--quiet") == (0, "", "")
