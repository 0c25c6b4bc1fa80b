"""``fairart evaluate`` as a user meets it."""

from __future__ import annotations

import json
import shutil

import pytest

from fairart.evaluation import EvaluationResult

QUICK = ("--set", "pgd.max_iter=2", "--limit", "60")


def test_the_table_the_file_and_the_budget_of_the_run(fairart_command, trained):
    code, out, err = fairart_command("evaluate", trained, "--attack", "pgd", "--attack", "fgsm", *QUICK)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert out.startswith(result.table())
    assert list(result) == ["clean", "pgd", "fgsm"]
    assert len(result.labels) == 60
    # Trained at eps 0.1, so attacked at eps 0.1, not at the attack's own default.
    assert result["pgd"].config["options"] == {"eps": 0.1, "eps_step": 0.05, "max_iter": 2, "num_random_init": 1}
    assert result["fgsm"].config["options"] == {"eps": 0.1}
    assert result.config["trainer"] == "at"


def test_the_accuracy_is_that_of_the_trained_weights(fairart_command, trained, train, tmp_path):
    def accuracy(folder):
        return json.loads(fairart_command("evaluate", folder, "--json", *QUICK)[1])["results"][1]["accuracy"]

    train("at", tmp_path / "longer", "--epochs", "8", "--per-class", "60", "--quiet")
    assert accuracy(tmp_path / "longer") > accuracy(trained) + 0.1


def test_json_repeats_and_seeds_differ(fairart_command, trained):
    def run(*flags):
        code, out, err = fairart_command("evaluate", trained, "--json", *QUICK, *flags)
        assert (code, err) == (0, "")
        return json.loads(out)

    first = run()
    assert run() == first
    assert run("--batch-size", "7")["results"] == first["results"]
    assert run("--seed", "1")["labels"] != first["labels"]


def test_options_given_beat_those_of_the_run(fairart_command, trained):
    out = fairart_command("evaluate", trained, "--json", *QUICK, "--set", "pgd.eps=8/255")[1]
    assert json.loads(out)["results"][1]["config"]["options"]["eps"] == 8 / 255


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--atack", "pgd"], "unknown flag --atack; did you mean '--attack'"),
        (["--attack", "pdg"], "there is no attack 'pdg'; did you mean 'pgd'"),
        (["--set", "fgsm.eps=1"], "'fgsm' is not among the attacks of this evaluation"),
        (["--set", "pgd.max_itr=1"], "attack 'pgd' has no option 'max_itr'; did you mean 'max_iter'"),
        (["--set", "pgd.eps=-1"], "eps must be >= 0"),
        (["--attack", "pgd", "--attack", "pgd"], "two attacks are labelled 'pgd'"),
        (["--limit", "0"], "--limit: expects a whole number >= 1, got '0'"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_in_one_line(fairart_command, trained, flags, told):
    before = (trained / "evaluation.json").read_bytes() if (trained / "evaluation.json").exists() else None
    code, out, err = fairart_command("evaluate", trained, *flags)
    assert (code, out) == (2, "")
    assert err.startswith("fairart: error: ")
    assert err.count("\n") == 1
    assert told in err
    assert before is None or (trained / "evaluation.json").read_bytes() == before


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "no config": ("config.yaml", lambda path: path.unlink()),
    "foreign config": ("config.yaml", lambda path: path.write_text("services:\n  web: {}\n")),
    "config no YAML": ("config.yaml", lambda path: path.write_text("a: [1,\n")),
    "other model": ("model.safetensors", lambda path: _other_model(path)),
    "half the weights": ("model.safetensors", _truncated),
    "no weights": ("model.safetensors", lambda path: path.unlink()),
    "weights no safetensors": ("model.safetensors", lambda path: path.write_bytes(b"PK\x03\x04 a zip perhaps")),
    "weights of another program": ("model.safetensors", lambda path: _foreign_weights(path)),
    "half a line": ("history.jsonl", _truncated),
    "no history": ("history.jsonl", lambda path: path.unlink()),
    "history no epochs": ("history.jsonl", lambda path: path.write_text("{}\n")),
}


def _other_model(path):
    config = path.with_name("config.yaml")
    config.write_text(config.read_text().replace("small-cnn", "preact-resnet-18"))


def _foreign_weights(path):
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_named(fairart_command, trained, tmp_path, damage):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    name, break_it = DAMAGES[damage]
    break_it(folder / name)
    code, out, err = fairart_command("evaluate", folder, *QUICK)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert name in err


def test_a_run_has_to_be_said_and_to_be_there(fairart_command, tmp_path):
    assert "which run?" in fairart_command("evaluate")[2]
    assert f"there is no folder '{tmp_path}/none'" in fairart_command("evaluate", tmp_path / "none")[2]
    assert "is no run of fairart" in fairart_command("evaluate", tmp_path)[2]
