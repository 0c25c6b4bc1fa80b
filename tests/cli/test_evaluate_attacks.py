"""What the command line adds to attacks: a run as a surrogate, and a budget in another norm."""

from __future__ import annotations

from fairart.evaluation import EvaluationResult


def test_another_run_is_the_surrogate_of_a_transfer_attack(fairart_command, trained, train, tmp_path):
    train("at", tmp_path / "other", "--seed", "3", "--quiet")
    settings = ("--limit", "20", "--set", f"transfer.surrogate={tmp_path / 'other'}")
    code, _, err = fairart_command("evaluate", trained, "--attack", "transfer", *settings)
    assert (code, err) == (0, "")
    result = EvaluationResult.load(trained / "evaluation.json")
    assert result.config["surrogates"] == {"transfer": str(tmp_path / "other")}
    assert result["transfer"].config["options"]["surrogate"].startswith("SmallCNN with weights ")
    assert result["transfer"].config["options"]["eps"] == 0.1


def test_a_surrogate_that_is_not_there_is_named(fairart_command, trained, tmp_path):
    code, _, err = fairart_command(
        "evaluate", trained, "--attack", "transfer", "--set", f"transfer.surrogate={tmp_path / 'none'}"
    )
    assert code != 0
    assert "there is no folder" in err


def test_the_eps_of_a_run_is_no_l2_radius(fairart_command, trained):
    quick = ("--limit", "20", "--attack", "deepfool", "--set", "deepfool.norm=2", "--set", "deepfool.max_iter=2")
    code, _, err = fairart_command("evaluate", trained, *quick)
    assert code != 0
    assert "set eps as well; that of the run or of --eps, 0.1, is an L-inf radius" in err
    assert fairart_command("evaluate", trained, *quick, "--set", "deepfool.eps=0.5")[0] == 0


def test_another_eps_brings_its_own_step(fairart_command, trained):
    assert fairart_command("evaluate", trained, "--attack", "pgd", "--limit", "20", "--set", "pgd.eps=0.3")[0] == 0
    config = EvaluationResult.load(trained / "evaluation.json")["pgd"].config
    # Not that of the run, which was trained at 0.1.
    assert config["options"]["eps_step"] is None
    assert config["notes"] == {"eps_step": 0.075}
