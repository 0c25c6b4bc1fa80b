"""RunConfig: one declaration, checked values, and a YAML file that gives the same config back."""

from __future__ import annotations

import dataclasses

import pytest

from fairart.errors import OptionError, UnknownNameError
from fairart.plugins.hookspecs import HOOK_OF_KIND
from fairart.runs.config import OPTION_KINDS, RunConfig, check_names, parse_setting

FULL = {
    "trainer": "fair-tat",
    "dataset": "npz:somewhere.npz",
    "eps": "8/255",
    "per_class": "12",
    "averaging": "none",
    "weight_decay": "5e-4",
    "lr_milestones": "0.25,0.5",
    "options": {"epsilon-scheduler.lambda1": 0.3, "model": {"width": 8}},
}


def test_text_is_read_as_the_declaration_says():
    config = RunConfig.from_mapping(FULL)
    assert (config.eps, config.per_class, config.weight_decay) == (8 / 255, 12, 5e-4)
    assert config.lr_milestones == (0.25, 0.5)
    assert config.averaging == "none"
    assert config.objective is None
    assert config.options == {"epsilon_scheduler": {"lambda1": 0.3}, "model": {"width": 8}}
    assert RunConfig(**FULL) == config


def test_a_saved_config_gives_the_same_one_back(tmp_path):
    config = RunConfig(**{**FULL, "eps": 1e-05, "lr": 0.1 + 0.2, "data_root": "dönner"})
    path = config.save(tmp_path / "run.yaml")
    assert RunConfig.load(path) == config
    assert [file.name for file in tmp_path.iterdir()] == ["run.yaml"]


def test_every_field_is_declared_with_a_description_and_frozen():
    declared = RunConfig.declared()
    assert list(declared) == [field.name for field in dataclasses.fields(RunConfig)]
    assert all(spec.option.description for spec in declared.values())
    assert [name for name, spec in declared.items() if spec.required] == ["trainer"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig(trainer="at").eps = 1.0  # type: ignore[misc]


def test_options_belong_to_kinds_that_exist():
    assert set(OPTION_KINDS) <= set(HOOK_OF_KIND)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epoch": 3}, "run.yaml has no option 'epoch'; did you mean 'epochs'"),
        ({"epochs": 0}, "run.yaml: epochs must be >= 1"),
        ({"epochs": 1.5}, "epochs expects int"),
        ({"epochs": True}, "epochs expects int"),
        ({"eps": float("nan")}, "got NaN"),
        ({"lr": 0}, "lr must be > 0"),
        ({"momentum": 1}, "momentum must be >= 0 and < 1"),
        ({"hold_out": 0.6}, "hold_out must be > 0 and <= 0.5"),
        ({"lr_milestones": [0.5, 2]}, "lr_milestones: each share must be > 0 and <= 1, got 2"),
        ({"lr_milestones": "half"}, "lr_milestones: each share expects float, got 'half'"),
        ({"lr_milestones": {"a": 1}}, "lr_milestones expects shares of the epochs"),
        ({"device": "tpu"}, "device expects one of 'auto', 'cpu', 'cuda'"),
        ({"averaging": False}, "averaging expects str or None, got False"),
        ({"options": ["a"]}, "options expects a mapping"),
        ({"options": {"optimizer.lr": 1}}, "there is no kind 'optimizer' to set options of"),
        ({"options": {"model": 3}}, "model expects option names with values"),
    ],
)
def test_a_bad_value_names_its_source_and_the_rule(values, told):
    with pytest.raises(OptionError) as caught:
        RunConfig.from_mapping({"trainer": "at", **values}, where="run.yaml")
    assert told in str(caught.value)


def test_a_trainer_has_to_be_said():
    with pytest.raises(OptionError, match=r"run\.yaml needs 'trainer'"):
        RunConfig.from_mapping({}, where="run.yaml")


@pytest.mark.parametrize("text", ["a: [1,", "- 1\n- 2\n", "", "just text"])
def test_a_file_that_is_no_mapping_is_named(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(OptionError, match=r"x\.yaml"):
        RunConfig.load(tmp_path / "x.yaml")


def test_yaml_makes_no_objects(tmp_path):
    (tmp_path / "x.yaml").write_text("trainer: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(OptionError, match="is not a YAML file"):
        RunConfig.load(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("a.b=0.3", ("a", "b", 0.3)),
        ("a.b=8/255", ("a", "b", "8/255")),
        ("a.b-c=true", ("a", "b_c", True)),
        ("a.b=x=y.z", ("a", "b", "x=y.z")),
        ("a.b=", ("a", "b", None)),
    ],
)
def test_settings(text, setting):
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["a=1", "a.b", ".b=1", "a.=1", "a.b=[1"])
def test_what_is_no_setting(text):
    with pytest.raises(OptionError, match="--set"):
        parse_setting(text)


def test_names_are_looked_up_without_making_anything():
    check_names(RunConfig(trainer="at", dataset="npz:not/there.npz", averaging="none"))
    with pytest.raises(UnknownNameError, match="did you mean 'ccm'"):
        check_names(RunConfig(trainer="at", epsilon_scheduler="cmm"))
