"""What benchmarks/factors.py reads off finished cells, against runs whose answer is known and formulas of scipy."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from fairart.benchmark import grid_from_mapping, run_grid
from fairart.benchmark.archive import write_archive
from fairart.evaluation import AttackResult, EvaluationResult
from fairart.runs.config import RunConfig

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
IMAGES, NAMES = 20, ("a", "b", "c", "d")
LABELS = np.repeat(np.arange(4), IMAGES)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of the script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import factor_study.comparing
    import factor_study.runs
    import factor_study.text

    return factor_study


def outcome(right: tuple[int, ...], *, names: tuple[str, ...] = NAMES) -> AttackResult:
    """So many images of each class are right; the others are taken for the next class."""
    predictions = LABELS.copy()
    for index, count in enumerate(right):
        own = np.flatnonzero(index == LABELS)
        predictions[own[count:]] = (index + 1) % 4
    return AttackResult(label="clean", labels=LABELS, predictions=predictions, nb_classes=4, config={}, class_names=names)


def run_of(study: Any, right: tuple[int, ...], *, seed: int = 0, names: tuple[str, ...] = NAMES, **settings: Any) -> Any:
    config = RunConfig.from_mapping({"trainer": "at", "optimizer": "sgd", "lr": 0.03, "seed": seed, **settings})
    return study.runs.Run(
        name=f"{settings} {seed}",
        settings=study.runs.settings_of(config),
        seed=seed,
        plan="",
        results={"clean": outcome(right, names=names)},
    )


def test_settings_are_sorted_into_factors(study: Any) -> None:
    config = RunConfig.from_mapping(
        {
            "trainer": "at",
            "options": {"model": {"width": 8}},
            "lr": 0.1,
            "optimizer": "adamw",
            "class_sampling": "balanced",
            "seed": 3,
        }
    )
    found = study.runs.settings_of(config)
    assert found["architecture"] == (("model", "small-cnn"), ("model.width", 8))
    assert found["optimiser, learning rate"] == (("optimizer", "adamw"), ("lr", 0.1), ("momentum", None))
    assert found["remedy"] == (("class_sampling", "balanced"),)
    assert not any("seed" in name for pairs in found.values() for name, _ in pairs)
    assert study.runs.said("optimiser, learning rate", found["optimiser, learning rate"]) == "adamw lr 0.1"
    assert study.runs.said("imbalance", ()) == "no imbalance"


def test_comparisons_differ_in_one_factor_alone_and_begin_with_the_usual_value(study: Any) -> None:
    runs = [
        run_of(study, (1, 2, 3, 4), seed=seed, **settings)
        for seed in (0, 1)
        for settings in ({}, {"lr": 0.1}, {"batch_size": 64}, {"trainer": "standard"}, {"trainer": "standard", "lr": 0.1})
    ]
    found = {
        (one.factor, one.where, one.context): [value.name for value in one.values] for one in study.comparing.comparisons(runs)
    }
    assert found == {
        # batch size 64 with standard training and lr 0.1 with batch size 64 were not run: two factors apart from some.
        ("training", "", ""): ["standard", "at"],
        ("training", "", "sgd lr 0.1"): ["standard", "at"],
        ("optimiser, learning rate", "at", ""): ["sgd lr 0.03", "sgd lr 0.1"],
        ("optimiser, learning rate", "standard", ""): ["sgd lr 0.03", "sgd lr 0.1"],
        ("batch size", "at", ""): ["batch size 128", "batch size 64"],
    }


def test_optimiser_and_its_own_settings_are_one_factor(study: Any) -> None:
    runs = [run_of(study, (1, 2, 3, 4)), run_of(study, (1, 2, 3, 4), optimizer="adamw", lr=0.001, weight_decay=0.0005)]
    (found,) = study.comparing.comparisons(runs)
    assert [value.name for value in found.values] == ["sgd lr 0.03", "adamw lr 0.001"]


def test_values_are_compared_by_the_seeds_that_all_of_them_have(study: Any) -> None:
    runs = [run_of(study, (1, 2, 3, 4), seed=seed) for seed in (0, 1, 2)]
    runs += [run_of(study, (1, 2, 3, 4), seed=seed, lr=0.1) for seed in (2, 1)]
    (found,) = study.comparing.comparisons(runs)
    assert [[run.seed for run in value.runs] for value in found.values] == [[1, 2], [1, 2]]
    assert not study.comparing.comparisons([run_of(study, (1, 2, 3, 4)), run_of(study, (1, 2, 3, 4), seed=1, lr=0.1)])


def test_a_value_that_lacks_seeds_takes_none_from_the_others(study: Any) -> None:
    runs = [run_of(study, (1, 2, 3, 4), seed=seed, lr=lr) for seed in (0, 1, 2) for lr in (0.03, 0.01)]
    runs += [run_of(study, (1, 2, 3, 4), seed=1, lr=0.1)]
    found = study.comparing.comparisons(runs)
    assert [[(value.name, [run.seed for run in value.runs]) for value in one.values] for one in found] == [
        [("sgd lr 0.03", [0, 1, 2]), ("sgd lr 0.01", [0, 1, 2])],
        [("sgd lr 0.03", [1]), ("sgd lr 0.1", [1])],
    ]


def test_figures_are_means_and_students_intervals_over_the_seeds(study: Any) -> None:
    first = [(10, 20, 15, 5), (12, 18, 15, 3), (8, 20, 16, 8)]
    second = [(20, 10, 15, 5), (18, 12, 13, 7), (20, 8, 14, 2)]
    runs = [run_of(study, right, seed=seed) for seed, right in enumerate(first)]
    runs += [run_of(study, right, seed=seed, lr=0.1) for seed, right in enumerate(second)]
    (comparison,) = study.comparing.comparisons(runs)
    one, other = (shares := np.array([first, second]) / IMAGES)
    found = study.comparing.figures(comparison, "clean")
    reference, value = found["values"]
    spread = shares.std(axis=2)
    assert reference["std"]["mean"] == pytest.approx(spread[0].mean())
    assert reference["variance"]["mean"] == pytest.approx((spread[0] ** 2).mean())
    assert reference["std_less_reference"] is None
    difference = spread[1] - spread[0]
    wanted = t.interval(0.95, 2, difference.mean(), difference.std(ddof=1) / math.sqrt(3))
    assert value["std_less_reference"]["interval"] == pytest.approx(wanted)
    assert [entry["mean"] for entry in value["class_accuracy"]] == pytest.approx(other.mean(axis=0))
    assert value["worst_three"] == ["d", "b", "c"]
    assert value["worst_of_each_seed"] == {"d": 3}
    pairs = [spearmanr(other[i], other[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert value["seeds_rank_alike"] == pytest.approx(np.mean(pairs))
    rho = spearmanr(one.mean(axis=0), other.mean(axis=0)).statistic
    agreement = found["rank_agreement"]
    assert agreement["spearman"][0][1] == pytest.approx(rho)
    low, high = agreement["spearman_intervals"][0][1]
    assert -1 <= low <= rho <= high <= 1
    assert low < high


def test_rank_correlations_know_seeds_and_images(study: Any) -> None:
    # The order of the classes is beyond doubt in one set of runs, and turned round from seed to seed in the other.
    sure = [run_of(study, (20, 13, 7, 0), seed=seed) for seed in (0, 1, 2)]
    sure += [run_of(study, (20, 14, 6, 0), seed=seed, lr=0.1) for seed in (0, 1, 2)]
    unsure = [run_of(study, (20, 14, 6, 0), seed=seed) for seed in (0, 1, 2)]
    unsure += [
        run_of(study, right, seed=seed, lr=0.1) for seed, right in enumerate([(20, 14, 6, 0), (0, 6, 14, 20), (20, 14, 6, 1)])
    ]
    widths = []
    for runs in (sure, unsure):
        (comparison,) = study.comparing.comparisons(runs)
        low, high = study.comparing.ranks(comparison, "clean", draws=300).spearman_intervals[0, 1]
        widths.append(high - low)
    assert widths[0] < 0.5
    assert widths[1] > 1.0


def test_classes_of_other_data_are_not_ranked_against_each_other(study: Any) -> None:
    runs = [run_of(study, (1, 2, 3, 4)), run_of(study, (4, 3, 2, 1), dataset="fashion-mnist", names=("p", "q", "r", "s"))]
    (comparison,) = study.comparing.comparisons(runs)
    assert comparison.factor == "data set"
    assert study.comparing.figures(comparison, "clean")["rank_agreement"] is None


def test_conclusions_count_pairs_whose_interval_excludes_zero(study: Any) -> None:
    def value(low: float | None, high: float | None) -> dict[str, Any]:
        return {"std_less_reference": {"mean": 0.0, "interval": [low, high]}}

    entry = {
        "factor": "epochs",
        "where": "at",
        "attacks": {
            "clean": {
                "values": [{}, value(0.1, 0.2), value(-0.1, 0.2), value(-0.2, -0.1), value(None, None)],
                "rank_agreement": {"spearman": [[1.0, 0.8, 0.4, 0.6, None]]},
            }
        },
    }
    elsewhere = {**entry, "where": "standard"}
    line, other = study.text.conclusions([entry, elsewhere])
    assert (line["where"], other["where"]) == ("at", "standard")
    assert (line["pairs"], line["spread_larger"], line["spread_smaller"], line["ranks"]) == (4, 1, 1, [0.8, 0.4, 0.6])


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    """Run the script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import factors

    monkeypatch.setattr(sys, "argv", ["factors.py", *map(str, arguments)])
    factors.main()


def test_script_reads_a_grid_and_its_archive_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "base": {"dataset": "digits", "per_class": 10, "epochs": 1, "batch_size": 50, "device": "cpu", "logger": []},
        "methods": {"standard": {"trainer": "standard"}, "lr x 3": {"trainer": "standard", "lr": 0.3}},
        "grid": {"seed": [0, 1]},
        "evaluation": {"attacks": ["fgsm"], "limit": 200},
        "comparisons": [],
    }
    grid = grid_from_mapping(document)
    run_grid(grid, tmp_path / "grid", workers=0, verbose=False)
    write_archive(grid, tmp_path / "grid", tmp_path / "archive")
    said = {}
    for name in ("grid", "archive"):
        capsys.readouterr()
        call(monkeypatch, tmp_path / name, "--output", tmp_path / f"{name}.json")
        said[name] = capsys.readouterr().out
    found = json.loads((tmp_path / "grid.json").read_text())
    assert found == json.loads((tmp_path / "archive.json").read_text())
    assert said["grid"] == said["archive"]
    measured: dict[str, list[float]] = {}
    for cell in sorted((tmp_path / "grid" / "cells").iterdir()):
        rate = json.loads((cell / "cell.json").read_text())["config"]["lr"]
        measured.setdefault(f"sgd lr {rate}", []).append(EvaluationResult.load(cell / "evaluation.json")["fgsm"].accuracy)
    (entry,) = found["comparisons"]
    averages = {value["value"]: value["average"]["mean"] for value in entry["attacks"]["fgsm"]["values"]}
    assert averages == pytest.approx({name: np.mean(values) for name, values in measured.items()})
    assert averages.keys() == {"sgd lr 0.1", "sgd lr 0.3"}
    assert f"| {100 * averages['sgd lr 0.3']:.1f} " in said["grid"]


def test_a_folder_without_cells_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, tmp_path, "--output", tmp_path / "x.json")
    assert stopped.value.code == 2
    assert "is no folder of a benchmark: expected cells/NAME/cell.json in it" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()
