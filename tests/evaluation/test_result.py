"""Results: numbers, worst case over attacks, table, files."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.errors import PluginError
from fairart.evaluation import AttackResult, DamagedFileError, EvaluationResult, Perturbation
from fairart.evaluation.intervals import wilson_interval

LABELS = np.array([0, 0, 0, 1, 1, 3, 3, 3])
CLEAN = np.array([0, 0, 1, 1, 1, 3, 3, 0])
FIRST = np.array([0, 1, 1, 1, 0, 3, 3, 0])
SECOND = np.array([3, 0, 1, 1, 3, 3, 0, 0])
CHANGE = Perturbation(nb_attacked=6, share_changed=1.0, max_linf=0.1, mean_linf=0.08, share_outside=0.0)


def attack(label, predictions, **options):
    config = {"attack": "pgd", "plugin": "fairart", "options": {"eps": 0.1, "norm": math.inf}}
    return AttackResult(
        label=label,
        predictions=predictions,
        nb_classes=4,
        **{
            "labels": LABELS,
            "config": config,
            "perturbation": CHANGE,
            "class_names": ("ant", "bee", "cow", "doe"),
            **options,
        },
    )


@pytest.fixture
def result():
    clean = attack("clean", CLEAN, config={"attack": "none", "options": {}}, perturbation=None)
    return EvaluationResult(
        [clean, attack("first", FIRST), attack("second", SECOND)], config={"seed": 3}, versions={"fairart": "0"}
    )


def test_numbers_of_one_attack(result):
    first = result["first"]
    np.testing.assert_array_equal(first.class_accuracy, [1 / 3, 1 / 2, np.nan, 2 / 3])
    assert first.accuracy == 4 / 8
    assert (first.worst_class, first.worst_class_name) == (0, "ant")
    assert first.worst_class_accuracy() == first.worst_class_accuracy(0.1) == pytest.approx(1 / 3)
    np.testing.assert_array_equal(first.cfps, [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(first.confidence_interval[3], wilson_interval(2, 3))
    assert np.isnan(first.confidence_interval[2]).all()
    np.testing.assert_allclose(first.accuracy_interval, wilson_interval(4, 8))
    assert first.intervals(level=0.5)[0, 0] > first.confidence_interval[0, 0]


def test_metrics_over_the_registered_ones(result):
    values = result["first"].metrics()
    assert values["disparity"] == pytest.approx(1 / 3)
    assert values["worst-class"] == pytest.approx(1 / 3)
    assert "rho" not in values
    with_baseline = result["first"].metrics(baseline=result["clean"])
    # Worst class 2/3 -> 1/3, average 6/8 -> 4/8.
    assert with_baseline["rho"] == pytest.approx(-1 / 2 - 1 / 3)
    assert result["first"].metrics(baseline=result["clean"].confusion) == with_baseline


def test_a_strangers_metric_joins_in_and_is_named_when_it_fails(result, register):
    register(metrics={"bee": lambda confusion: confusion.class_accuracy[1]})
    assert result["first"].metrics()["bee"] == 0.5
    register(metrics={"broken": lambda confusion: 1 / 0})
    with pytest.raises(PluginError, match="plugin 'stranger': fairness_metric 'broken' raised ZeroDivisionError"):
        result["first"].metrics()


def test_worst_case_is_right_only_where_all_are(result):
    worst = result.worst_case()
    np.testing.assert_array_equal(worst.predictions, [3, 1, 1, 1, 0, 3, 0, 0])
    np.testing.assert_array_equal(worst.correct, result["clean"].correct & result["first"].correct & result["second"].correct)
    assert worst.config == {"attack": "worst-case", "over": ["clean", "first", "second"]}
    np.testing.assert_array_equal(result.worst_case(["first"]).predictions, FIRST)
    with pytest.raises(KeyError, match="no result 'third'; known: clean, first, second"):
        result.worst_case(["third"])
    with pytest.raises(ValueError, match="at least one result"):
        result.worst_case([])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=4))
def test_worst_case_is_never_better_than_any_attack(attacks):
    results = [attack(str(number), np.array(predictions)) for number, predictions in enumerate(attacks)]
    worst = EvaluationResult(results).worst_case()
    np.testing.assert_array_equal(worst.correct, np.all([single.correct for single in results], axis=0))
    rates = [np.nan_to_num(single.class_accuracy) for single in results]
    assert (np.nan_to_num(worst.class_accuracy) <= np.min(rates, axis=0)).all()


def test_it_is_a_mapping_in_the_order_in_which_attacks_ran(result):
    assert list(result) == ["clean", "first", "second"]
    assert len(result) == 3
    assert "first" in result
    assert "third" not in result
    assert result.get("third") is None
    assert "first=0.5000" in repr(result)
    with pytest.raises(KeyError, match="did you mean 'first'"):
        result["frist"]


def test_results_of_other_samples_do_not_mix():
    with pytest.raises(ValueError, match="'b' has other labels"):
        EvaluationResult([attack("a", FIRST), attack("b", FIRST, labels=LABELS[::-1].copy())])
    with pytest.raises(ValueError, match="at least one result, got none"):
        EvaluationResult([])
    with pytest.raises(ValueError, match="two results are labelled 'a'"):
        EvaluationResult([attack("a", FIRST), attack("a", SECOND)])


def test_table_shows_classes_attacks_intervals_and_configurations(result):
    lines = result.table().splitlines()
    assert lines[0].split() == ["class", "n", "clean", "first", "second", "worst-case"]
    cells = {line.split()[0]: line for line in lines[2:] if line}
    low, high = (100 * end for end in wilson_interval(1, 3))
    assert cells["ant"].split()[1] == "3"
    assert f"33.3 [{low:.1f}, {high:.1f}]" in cells["ant"]
    assert cells["cow"].split() == ["cow", "0", "-", "-", "-", "-"]
    assert "75.0 [" in cells["overall"]
    assert "] ant" in cells["worst"]
    assert "first: pgd(eps=0.1, norm=inf); 6 samples attacked, 100.0 % changed, L-inf mean 0.08, max 0.1" in lines
    assert "seed 3" in result.table()
    bare = result.table(intervals=False)
    assert "[" not in bare
    assert bare.splitlines()[2].split() == ["ant", "3", "66.7", "33.3", "33.3", "0.0"]


def test_table_of_many_classes_names_the_worst_tenth():
    labels = np.repeat(np.arange(30), 2)
    predictions = labels.copy()
    predictions[:2] = 5
    many = AttackResult(label="clean", labels=labels, predictions=predictions, nb_classes=30, config={"attack": "none"})
    rows = EvaluationResult([many]).table().splitlines()
    assert any(row.startswith("worst 10 %") and row.endswith("66.7") for row in rows)
    assert len({len(row) for row in rows if set(row) == {"-"}}) == 1


def test_saved_and_loaded_it_is_the_same(result, tmp_path):
    path = result.save(tmp_path / "evaluation.json")
    loaded = EvaluationResult.load(str(path))
    assert loaded.table() == result.table()
    assert loaded.to_dict() == result.to_dict()
    assert (loaded.config, loaded.versions) == (result.config, result.versions)
    for label in result:
        np.testing.assert_array_equal(loaded[label].predictions, result[label].predictions)
        assert loaded[label].perturbation == result[label].perturbation
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.json"]


def test_the_file_is_strict_json_with_null_for_nan(result, tmp_path):
    def refuse(constant):
        raise AssertionError(constant)

    nothing = attack("nothing", CLEAN, perturbation=Perturbation.of(np.zeros(0), np.zeros(0, dtype=bool)))
    path = EvaluationResult([nothing]).save(tmp_path / "evaluation.json")
    plain = json.loads(path.read_text(), parse_constant=refuse)
    assert plain["results"][0]["class_accuracy"][2] is None
    assert plain["results"][0]["perturbation"]["share_changed"] is None
    assert plain["results"][0]["config"]["options"]["norm"] == "inf"
    assert math.isnan(EvaluationResult.load(path)["nothing"].perturbation.mean_linf)


def test_a_failed_save_leaves_the_old_file_and_no_other(result, tmp_path, monkeypatch):
    path = result.save(tmp_path / "evaluation.json")
    before = path.read_text()

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("fairart.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        EvaluationResult([result["first"]]).save(path)
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["evaluation.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged or no evaluation: it is not JSON"),
        (lambda text: "", "not JSON"),
        (lambda text: '{"format": "other"}', "no evaluation of fairart"),
        (lambda text: "[1, 2]", "no evaluation of fairart"),
        (lambda text: text.replace('"format_version": 2', '"format_version": 9'), "format version 9.*this fairart reads 1 and 2"),
        (lambda text: text.replace('"labels"', '"lables"'), "damaged evaluation: KeyError: 'labels'"),
        (
            lambda text: text.replace('"labels": [0, 0', '"labels": [0, 1'),
            "counts of 'clean' are not those of its predictions",
        ),
        (lambda text: text.replace('"labels": [0, 0', '"labels": [0, 9'), r"every label in \[0, 4\)"),
        (lambda text: text.replace('"labels": [0, 0', '"labels": [0'), "one shape"),
        (lambda text: text.replace('"labels": [0, 0', '"labels": [0.5, 0'), "labels must be a list of whole numbers"),
        (lambda text: text.replace('"ant", ', ""), "3 class names for 4 classes"),
        (lambda text: text.replace('"nb_attacked": 6', '"nb_attacked": "six"'), "damaged evaluation"),
    ],
)
def test_a_damaged_or_foreign_file_gets_an_error_that_names_it(result, tmp_path, change, message):
    path = result.save(tmp_path / "evaluation.json")
    text = path.read_text()
    changed = change(text)
    assert changed != text
    path.write_text(changed)
    with pytest.raises(DamagedFileError, match=message) as caught:
        EvaluationResult.load(path)
    assert "evaluation.json" in str(caught.value)


def test_binary_and_missing_files(tmp_path):
    path = tmp_path / "evaluation.json"
    with pytest.raises(FileNotFoundError):
        EvaluationResult.load(path)
    path.write_bytes(b"\x80\x04\xff\xfe")
    with pytest.raises(DamagedFileError, match="not JSON"):
        EvaluationResult.load(path)
