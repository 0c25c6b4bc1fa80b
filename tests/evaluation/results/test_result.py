"""Results: numbers, worst case over attacks, table, files."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.errors import PluginError
from fairart.evaluation import AttackResult, DamagedFileError, EvaluationResult, Perturbation
from fairart.evaluation.results.intervals import wilson_interval

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


def with_budgets(**options):
    """Clean data, and an attack of FIRST for each label with these options."""
    clean = attack("clean", CLEAN, config={"attack": "none", "options": {}}, perturbation=None)
    others = [attack(label, FIRST, config={"attack": "pgd", "options": its}) for label, its in options.items()]
    return EvaluationResult([clean, *others])


EIGHT, FOUR, LONG = {"eps": 8 / 255}, {"eps": 4 / 255, "norm": "inf"}, {"eps": 8 / 255, "norm": "L2"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["clean"]),
        ({"a": {}}, ["clean", "a"]),
        ({"a": EIGHT, "b": EIGHT, "moved": {"max_rotation": 30.0}}, ["clean", "a", "b"]),
        ({"a": {"max_rotation": 30.0}, "b": {"max_rotation": 30.0}}, []),
        ({"a": EIGHT, "b": FOUR}, []),
        ({"a": EIGHT, "b": LONG, "c": {"eps": 8 / 255, "norm": math.inf}}, ["clean", "a", "c"]),
        ({"a": EIGHT, "b": FOUR, "c": FOUR}, ["clean", "b", "c"]),
        ({"a": EIGHT, "b": FOUR, "c": FOUR, "d": EIGHT}, ["clean", "a", "d"]),
        ({"a": {"eps": 2, "norm": 2}, "b": {"eps": 2.0, "norm": "L2"}}, ["clean", "a", "b"]),
        ({"a": EIGHT, "b": {"eps": float(np.float32(8 / 255))}}, ["clean", "a", "b"]),
        ({"a": {"eps": 1, "norm": 1}, "b": {"eps": 1, "norm": 1}}, []),
        ({"a": {"eps": math.inf}, "b": {"eps": math.inf}}, []),
    ],
)
def test_worst_case_combines_the_attacks_of_one_budget(options, expected, tmp_path):
    result = with_budgets(**options)
    assert list(result.combined) == expected
    assert EvaluationResult.load(result.save(tmp_path / "evaluation.json")).combined == result.combined
    if expected:
        assert result.worst_case().config["over"] == expected
    else:
        with pytest.raises(ValueError, match="no two attacks have the same norm and eps; name those"):
            result.worst_case()
    assert result.worst_case(list(result)).config["over"] == list(result)


def test_an_attack_of_another_budget_moves_no_number_of_the_worst_case(result):
    moved = attack("moved", np.zeros(8, dtype=int), config={"attack": "spatial", "options": {"max_rotation": 30.0}})
    more = EvaluationResult([*result.values(), moved])
    np.testing.assert_array_equal(more.worst_case().predictions, result.worst_case().predictions)
    assert not more.worst_case(["moved"]).correct[3:].any()


def test_table_says_what_the_worst_case_combines():
    lines = with_budgets(a=EIGHT, b=EIGHT, moved={}, far={"eps": 0.5}).table().splitlines()
    assert lines[0].split() == ["class", "n", "clean", "a", "b", "moved", "far", "worst-case"]
    assert (
        "worst-case: right under all of clean, a, b (L-inf, eps 0.03137); left out, as they have another budget: moved, far"
        in lines
    )
    assert "worst-case: right under all of clean, a, b (L2, eps 0.03137)" in with_budgets(a=LONG, b=LONG).table()
    apart = with_budgets(a=EIGHT, b=FOUR).table().splitlines()
    assert apart[0].split() == ["class", "n", "clean", "a", "b"]
    assert apart.count("worst-case: none, as no two attacks have the same norm and eps") == 1
    assert "worst-case" not in with_budgets(a=EIGHT).table()


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
