"""``fairart plot``: every kind from a run's folder, and one line for what cannot be drawn."""

from __future__ import annotations

import json

import pytest

from fairart.cli.plot import KINDS


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
        assert json.loads(out) == {"output": str(tmp_path / f"{kind}.png"), "kind": kind}
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
