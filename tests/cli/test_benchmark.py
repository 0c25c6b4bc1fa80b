"""``fairart benchmark`` as a user has it: output, exit codes, messages."""

from __future__ import annotations

import json

import pytest
import yaml

GRID = {
    "base": {"per_class": 10, "epochs": 1, "eps": 0.1, "eps_step": 0.05, "max_iter": 1, "batch_size": 50, "device": "cpu"},
    "methods": ["at"],
    "evaluation": {"attacks": ["fgsm"], "limit": 50},
}


@pytest.fixture
def grid(tmp_path):
    def write(**parts):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**GRID, **parts}))
        return path

    return write


def test_the_table_is_printed_and_written(fairart_command, grid, tmp_path):
    code, out, err = fairart_command("benchmark", grid(output=str(tmp_path / "out")), "--workers", "0")
    assert code == 0
    assert out.startswith("digits, small-cnn: accuracy in per cent\nmethod  clean, overall")
    assert f"written to {tmp_path / 'out'}: results.md, results.tex, results.csv" in out
    assert err.startswith("1 cell; 1 to run\n[1/1] at, digits")
    code, out, err = fairart_command("benchmark", grid(output=str(tmp_path / "out")), "--workers", "0", "--json", "--quiet")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["cells"][0]["accuracy"].keys() == {"clean", "fgsm"}
    assert document["comparisons"] == {"planned": [], "findings": [], "methods": []}
    code, out, _ = fairart_command("benchmark", grid(output=str(tmp_path / "out")), "--dry-run")
    assert code == 0
    assert out.splitlines()[-1].split()[:6] == ["at", "digits,", "small-cnn", "0", "done", document["cells"][0]["name"]]


def test_a_failed_cell_is_seen_in_the_exit_code(fairart_command, grid, tmp_path):
    path = grid(base={**GRID["base"], "lr": 1e30})
    code, out, _ = fairart_command("benchmark", path, "--output", tmp_path / "out", "--workers", "0")
    assert code == 1
    assert "1 cell failed" in out
    document = json.loads(fairart_command("benchmark", path, "--output", tmp_path / "out", "--dry-run", "--json")[1])
    assert [cell["state"] for cell in document["cells"]] == ["failed"]


def test_a_plan_that_the_seeds_cannot_carry_is_told_before_the_runs(fairart_command, grid):
    path = grid(methods=["at", "trades", "fat", "cfa", "frl"], grid={"seed": [0, 1, 2]})
    code, out, err = fairart_command("benchmark", path, "--dry-run", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["comparisons"][:2] == [["trades", "at"], ["fat", "at"]]
    assert len(document["comparisons"]) == 7
    assert document["notes"][0].startswith("digits, small-cnn: 3 seeds cannot carry 7 comparisons")
    code, out, err = fairart_command("benchmark", path, "--dry-run")
    assert err == f"note: {document['notes'][0]}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "which grid?"),
        (("no-such.yaml",), "there is no config file 'no-such.yaml'"),
        (("x.yaml", "--workers", "many"), "expects a whole number >= 0 or ray"),
        (("x.yaml", "--ray-gpus", "-1"), "expects a number >= 0"),
        (("x.yaml", "--worker", "2"), "did you mean '--workers'"),
    ],
)
def test_mistakes_are_one_line(fairart_command, arguments, told):
    code, out, err = fairart_command("benchmark", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_a_row_is_archived_and_run_again_alone(fairart_command, grid, tmp_path):
    path = grid(methods=["at", "trades"])
    assert fairart_command("benchmark", path, "--output", tmp_path / "out", "--workers", "0", "--quiet")[0] == 0
    code, out, err = fairart_command("benchmark", path, "--output", tmp_path / "out", "--archive", tmp_path / "light")
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'light'}: 2 of 2 cells, 0.")
    assert out.endswith(" MB\n")
    again = ("benchmark", path, "--output", tmp_path / "again", "--only", "trades/0", "--check", tmp_path / "light")
    code, out, _ = fairart_command(*again, "--workers", "0")
    assert code == 0
    assert out.splitlines()[-4:][::3] == [f"compared with {tmp_path / 'light'}", "trades  0     same"]
    # Another model under the same name is no repetition.
    for cell in (tmp_path / "light" / "cells").glob("trades*"):
        (cell / "cell.json").unlink()
    code, out, _ = fairart_command(*again, "--workers", "0", "--json", "--quiet")
    assert code == 1
    (found,) = json.loads(out)["check"]
    assert (found["row"], found["same"], found["detail"]) == ("trades", None, "earlier benchmark: it has no such run")


def test_a_dry_run_says_what_is_left(fairart_command, grid, tmp_path):
    path = grid(methods=["at", "trades"])
    code, out, err = fairart_command("benchmark", path, "--output", tmp_path / "out", "--dry-run")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"cells in {tmp_path / 'out' / 'cells'}: 2; left: 2 trainings, 2 evaluations"
    assert fairart_command("benchmark", path, "--output", tmp_path / "out", "--workers", "0", "--quiet", "--only", "at")[0] == 0
    document = json.loads(fairart_command("benchmark", path, "--output", tmp_path / "out", "--dry-run", "--json")[1])
    assert document["left"] == {"trainings": 1, "trials": 0, "evaluations": 1}
    assert document["selections"] == []
    fairart_command("benchmark", path, "--output", tmp_path / "out", "--archive", tmp_path / "light")
    other = grid(methods=["at", "trades"], evaluation={"attacks": ["pgd"], "limit": 50})
    _, out, _ = fairart_command("benchmark", other, "--output", tmp_path / "light", "--dry-run")
    assert "no weights: to be trained anew" in out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--archive", "light", "--only", "at"), "--archive copies what is finished and runs nothing: leave out --only"),
        (("--archive", "light", "--dry-run"), "--archive copies what is finished and runs nothing: leave out --dry-run"),
        (("--check", "nowhere"), "--check: there is no folder 'nowhere'"),
        (("--only", "trads/0"), "there is no method or row 'trads' to run alone; known: at"),
        (("--only", "at/3"), "'at' has no seed 3; its seeds: 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(fairart_command, grid, flags, told):
    code, _, err = fairart_command("benchmark", grid(), *flags)
    assert code == 2
    assert told in err
