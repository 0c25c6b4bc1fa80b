"""The grid file: which cells it stands for, and what is wrong with one that stands for none."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from fairart import registered
from fairart.benchmark import grid_from_mapping, read_grid
from fairart.errors import OptionError
from fairart.runs.config import RunConfig
from fairart.runs.flat import flat, unflat


def cells(**document):
    return grid_from_mapping(document).cells


def test_every_combination_is_a_cell_and_base_is_in_all():
    made = cells(
        base={"epochs": 3, "eps": "8/255"},
        methods=["at", "fair-tat"],
        grid={"dataset": ["digits", "cifar10"], "averaging": ["none", "ema"], "seed": [0, 1, 2]},
    )
    wanted = itertools.product(["at", "fair-tat"], ["digits", "cifar10"], ["none", "ema"], [0, 1, 2])
    assert [(c.config.trainer, c.config.dataset, c.config.averaging, c.config.seed) for c in made] == list(wanted)
    assert {(c.config.epochs, c.config.eps) for c in made} == {(3, 8 / 255)}
    assert len({c.name for c in made}) == 24


def test_a_method_has_a_label_and_options_of_its_own():
    made = cells(
        methods=["at", {"on TRADES": {"trainer": "fair-tat", "objective": "trades", "epsilon_scheduler.lambda1": 0.3}}],
        base={"target_sampler.temperature": 2},
    )
    assert [cell.row_name for cell in made] == ["at", "on TRADES"]
    assert made[1].config == RunConfig(
        trainer="fair-tat",
        objective="trades",
        options={"epsilon_scheduler": {"lambda1": 0.3}, "target_sampler": {"temperature": 2}},
    )
    plain = cells(methods={"A": "at", "fair-tat": None, "C": {"trainer": "at", "eps": 0.1}})
    assert [(cell.method, cell.config.trainer) for cell in plain] == [("A", "at"), ("fair-tat", "fair-tat"), ("C", "at")]


def test_rows_say_what_varies_within_a_method_and_tables_what_they_are_of():
    made = cells(
        methods={"A": "at", "F": {"trainer": "fair-tat"}},
        grid={"averaging": ["none", "ema"], "epsilon_scheduler.lambda1": [0.3, 0.5], "dataset": ["digits"], "seed": [0, 1]},
        exclude=[{"method": "A", "averaging": "ema"}, {"method": "A", "epsilon_scheduler.lambda1": 0.3}],
    )
    rows = dict.fromkeys(cell.row_name for cell in made)
    assert list(rows) == [
        "A",
        "F (no averaging, lambda1 0.3)",
        "F (no averaging, lambda1 0.5)",
        "F (ema, lambda1 0.3)",
        "F (ema, lambda1 0.5)",
    ]
    assert {cell.table_name for cell in made} == {"digits, small-cnn"}
    several = cells(methods=["at"], grid={"model": ["small-cnn", "xcit-s12"], "model.width": [1, 2]})
    assert [cell.table_name for cell in several][:2] == ["digits, small-cnn (width 1)", "digits, small-cnn (width 2)"]


def test_include_adds_a_cell_and_exclude_takes_some_away():
    made = cells(
        base={"eps": 0.2},
        methods=["at", "fair-tat"],
        grid={"seed": [0, 1]},
        exclude=[{"method": "fair-tat", "seed": 1}],
        include=[{"method": "fair-tat", "seed": 7, "eps": "1/10"}, {"trainer": "standard"}],
    )
    assert [(c.method, c.config.seed, c.config.eps) for c in made] == [
        ("at", 0, 0.2),
        ("at", 1, 0.2),
        ("fair-tat", 0, 0.2),
        ("fair-tat", 7, 0.1),
        ("standard", 0, 0.2),
    ]


def test_the_name_of_a_cell_follows_from_its_run_alone():
    (first,) = cells(methods=["fair-tat"], base={"seed": 1, "averaging": "ema"})
    (renamed,) = cells(methods={"ours": "fair-tat"}, base={"averaging": "ema"}, grid={"seed": [1]})
    *_, among = cells(methods=["at", "fair-tat"], grid={"averaging": ["ema"], "eps": [0.1, 8 / 255], "seed": [0, 1]})
    assert first.name == renamed.name == among.name
    assert first.name.startswith("fair-tat_ema_digits_seed1_")
    (path,) = cells(methods=["at"], base={"dataset": "npz:/some where/my.npz"})
    assert path.name.startswith("at_my.npz_seed0_")


def test_flat_and_unflat_are_inverse():
    config = RunConfig(trainer="at", eps=0.1, options={"model": {"width": 3}, "trainer": {"warm_start": None}})
    assert RunConfig(**unflat(flat(config))) == config


def test_attacks_have_labels_and_what_tables_show_is_no_part_of_the_plan():
    def plan(**evaluation):
        return grid_from_mapping({"methods": ["at"], "evaluation": evaluation}).plan

    made = plan(attacks=["fgsm", {"pgd": {"eps": 0.1}}, {"long": {"attack": "pgd", "max_iter": 100}}])
    assert made.to_dict()["attacks"] == [
        ["fgsm", {"label": "fgsm"}],
        ["pgd", {"eps": 0.1, "label": "pgd"}],
        ["pgd", {"max_iter": 100, "label": "long"}],
    ]
    assert plan(attacks="fgsm").attacks == plan(attacks={"fgsm": None}).attacks
    assert plan().to_dict() == plan(metrics=["std"], reference="at").to_dict()
    assert plan().to_dict() != plan(corruptions={"fog": None}).to_dict()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "has no cells"),
        ({"base": {"seed": 1}, "grid": {"seed": [1]}, "methods": ["at"]}, "seed stands under 'base' and under 'grid'"),
        ({"methods": {"A": {"trainer": "at", "eps": 1}}, "grid": {"eps": [1]}}, "eps stands under 'grid' and in method 'A'"),
        ({"methods": ["at"], "base": {"trainer": "at"}}, "trainer stands under 'base' and there are 'methods'"),
        ({"grid": {"seed": [1, 2]}}, "names no method"),
        ({"methods": ["at"], "grid": {"seed": [1, 1]}}, "seed lists 1 twice"),
        ({"methods": ["at"], "grid": {"eps": [0.1, "1/10"]}}, "eps lists 0.1 twice"),
        ({"methods": ["at"], "grid": {"seed": []}}, "seed expects a list of values"),
        (
            {"methods": ["at"], "grid": {"seed": 3}},
            "seed expects a list of values, got 3; settings of all runs go under 'base'",
        ),
        ({"methods": ["at"], "grid": {"sed": [3]}}, "grid has no option 'sed'; did you mean 'seed'"),
        ({"methods": ["at"], "grid": {"seed": [-1]}}, "seed must be >= 0"),
        ({"methods": ["at"], "grid": {"options": [{}]}}, "write each option by itself"),
        ({"grid": {"method": ["at"]}}, "'method' stands beside 'grid'"),
        ({"methods": ["at"], "epochs": 3}, "settings of all runs go under 'base'"),
        ({"methods": ["at"], "evaluations": {}}, "did you mean 'evaluation'"),
        ({"methods": {"A": "at", "B": "at"}}, "two cells are one run"),
        ({"methods": "at"}, "methods expects names"),
        ({"methods": [["at"]]}, "expected a name"),
        ({"methods": ["at"], "exclude": [{"seed": 5}]}, "no cell of the grid is"),
        ({"methods": ["at"], "exclude": [{"method": "AT"}]}, "there is no method 'AT'; known: at"),
        ({"methods": ["at"], "exclude": {"seed": 0}}, "expects a list"),
        ({"methods": ["at"], "base": {"modell.width": 1}}, "there is no kind 'modell'"),
        ({"methods": ["at"], "output": 3}, "output expects a folder"),
        ({"methods": ["at"], "evaluation": {"attacks": [{"a": {}, "b": {}}]}}, "attacks expects names"),
        ({"methods": ["at"], "evaluation": {"attacks": ["pgd", {"pgd": {"eps": 1}}]}}, "two are labelled 'pgd'"),
        ({"methods": ["at"], "evaluation": {"limits": 3}}, "did you mean 'limit'"),
        ({"methods": ["at"], "evaluation": {"reference": "AT"}}, "reference names no row 'AT'; known: at"),
        ({"methods": ["at"], "evaluation": {"severities": [1]}}, "severities go with corruptions"),
        ({"methods": ["at"], "evaluation": {"corruptions": {"fog": 3}}}, "corruptions expects"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(document, told):
    with pytest.raises(OptionError, match=r"^my\.yaml") as caught:
        grid_from_mapping(document, where="my.yaml")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("methods: [at\n", "is not a YAML file"),
        ("- at\n", "must contain 'key: value' lines"),
        ("methods:\n  A: at\n  A: fat\n", r"has the key 'A' \(line 3\) twice"),
        ("methods: [at]\ngrid: {seed: [0], seed: [1]}\n", r"has the key 'seed' \(line 2\) twice"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, told):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(OptionError, match=told) as caught:
        read_grid(tmp_path / "grid.yaml")
    assert str(tmp_path) in str(caught.value)


def test_the_example_and_the_page_are_grids():
    root = Path(__file__).parents[2]
    assert len(read_grid(root / "examples" / "grid.yaml").cells) == 6
    every = read_grid(root / "examples" / "all_methods.yaml").cells
    built_in = {name for name, entry in registered("trainer").items() if entry.plugin == "fairart"}
    assert {cell.config.trainer for cell in every} == built_in
    assert len(every) == 3 * len(built_in)
    (text,) = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "benchmark.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    grid = grid_from_mapping(yaml.safe_load(text))
    assert len(grid.cells) == (2 + 3 + 3) * 3 + 1
    assert {cell.row_name for cell in grid.cells} >= {"at (no averaging)", "fair-tat (ema)", "FAIR-TAT on TRADES (fawa)"}
