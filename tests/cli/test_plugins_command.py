"""``fairart plugins``: everything that is registered, and the options of one thing."""

from __future__ import annotations

import json
import re

import pytest

from fairart.plugins import registered
from fairart.plugins.hookspecs import HOOK_OF_KIND
from fairart.runs.recipes import RECIPES


def test_every_kind_and_name_is_listed_with_its_description(fairart_command):
    code, out, err = fairart_command("plugins", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    listed = {(entry["kind"], entry["name"]) for entry in document["plugins"]}
    assert listed == {(kind, name) for kind in HOOK_OF_KIND for name in registered(kind)}
    assert document["kinds"] == HOOK_OF_KIND
    assert all(entry["description"] and "cannot be loaded" not in entry["description"] for entry in document["plugins"])


def test_descriptions_read_from_the_source_are_those_of_the_docstrings(fairart_command):
    listed = json.loads(fairart_command("plugins", "--json")[1])["plugins"]
    for entry in listed:
        assert registered(entry["kind"])[entry["name"]].summary() == entry["description"]


def test_the_plain_table_has_kinds_without_names_too(fairart_command):
    out = fairart_command("plugins")[1]
    assert all(kind in out for kind in HOOK_OF_KIND)
    assert "fairart_register_corruptions" in out or registered("corruption")


@pytest.mark.parametrize("arguments", [("--kind", "target-sampler"), ("target_sampler",), ("--kind=target_sampler",)])
def test_one_kind(fairart_command, arguments):
    out = fairart_command("plugins", *arguments)[1]
    assert "cfps-softmax" in out
    assert "fair-tat" not in out


def test_the_options_of_one_thing(fairart_command):
    code, out, _ = fairart_command("plugins", "epsilon-scheduler", "ccm")
    row = next(line for line in out.splitlines() if line.startswith("lambda1"))
    assert code == 0
    assert " ".join(row.split()) == "lambda1 float 0.5 >= 0 budget at score 0, in units of eps CFA Eq. 4"
    options = json.loads(fairart_command("plugins", "epsilon_scheduler", "ccm", "--json")[1])["options"]
    assert options[0]["default"] == 0.5
    assert options[0]["source"] == "CFA Eq. 4"


def test_what_fairart_fills_in_is_no_option(fairart_command):
    names = {
        kind: {option["name"] for option in json.loads(fairart_command("plugins", kind, name, "--json")[1])["options"]}
        for kind, name in (("model", "small-cnn"), ("attack", "pgd"), ("trainer", "fair-tat"))
    }
    assert names["model"] == {"width", "batch_norm", "spectral_norm"}
    assert names["attack"] == {"eps", "eps_step", "max_iter", "num_random_init", "stop_when_fooled", "norm"}
    assert "classifier" not in names["trainer"]


def test_a_broken_plugin_is_listed_with_its_reason_and_the_good_one_works(fairart_command, plugins_dir):
    code, out, err = fairart_command("plugins", "--plugins-dir", plugins_dir)
    assert code == 0
    assert "last-class" in out
    assert "Aim at the last class." in out
    assert "broken_one" in out
    assert "no_such_module_anywhere" in out
    assert err.startswith("fairart: warning: plugin 'broken_one' is left out")
    assert err.count("\n") == 1


def test_strict_plugins_stop_at_the_broken_one(fairart_command, plugins_dir, monkeypatch):
    import fairart.plugins

    monkeypatch.setattr(fairart.plugins.get_plugin_manager(), "strict", True)
    code, out, err = fairart_command("plugins", "--plugins-dir", plugins_dir)
    assert (code, out) == (2, "")
    assert "plugin 'broken_one' is broken" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["modle"], "there is no kind 'modle'; did you mean 'model'"),
        (["model", "smal-cnn"], "there is no model 'smal-cnn'; did you mean 'small-cnn'"),
        (["model", "--kind", "dataset"], "KIND is given twice"),
        (["--knd", "model"], "unknown flag --knd; did you mean '--kind'"),
    ],
)
def test_wrong_names(fairart_command, arguments, told):
    code, out, err = fairart_command("plugins", *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_the_command_shows_them(fairart_command):
    code, out, _ = fairart_command("plugins", "recipe", "faal")
    assert code == 0
    assert re.search(r"trainer\.radius +0\.5", out)
    assert "It fine-tunes: first train an AT model" in out
    code, out, _ = fairart_command("plugins", "recipe")
    assert code == 0
    assert all(method in out for method in RECIPES)
    code, _, err = fairart_command("plugins", "recipe", "fall")
    assert code == 2
    assert "did you mean 'faal'" in err
