"""The progress bar: it knows how much there is to do, counts what was done before, and is silent where nobody looks."""

import io

import pytest
import tqdm as tqdm_package

from fairart.evaluation import evaluate
from fairart.evaluation.running import progress, runner, scores


@pytest.fixture
def bars(monkeypatch):
    """The bars of an evaluation, drawn into a string as on a terminal."""
    made = []

    def bar(**options):
        options["disable"] = False
        made.append(tqdm_package.tqdm(**options, file=io.StringIO(), mininterval=0))
        return made[-1]

    monkeypatch.setattr(progress, "tqdm", bar)
    return made


def run(classifier, digits, **options):
    return evaluate(
        classifier, digits.x, digits.y, attacks=["fgsm"], corruptions="fog", severities=[1, 5], batch_size=50, **options
    )


def test_it_ends_at_a_total_that_counts_only_what_is_worked_on(classifier, digits, bars):
    result = run(classifier, digits)
    attacked = result["fgsm"].perturbation.nb_attacked
    assert attacked < 120
    assert (bars[0].n, bars[0].total) == (120 + attacked + 2 * 120,) * 2
    drawn = bars[0].fp.getvalue()
    assert all(f"{name}: " in drawn for name in ("clean", "fgsm", "fog/1", "fog/5"))
    assert "100%" in drawn


def test_what_was_done_before_counts_but_not_for_the_time_left(classifier, digits, bars, tmp_path, monkeypatch):
    predict, calls = scores.predict, []

    def killed(*arguments, **options):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(1)
        return predict(*arguments, **options)

    monkeypatch.setattr(runner, "predict", killed)
    with pytest.raises(KeyboardInterrupt):
        run(classifier, digits, checkpoint=tmp_path / "partial")
    monkeypatch.setattr(runner, "predict", predict)
    run(classifier, digits, checkpoint=tmp_path / "partial")
    assert bars[1].n == bars[1].total
    assert bars[1].initial == 120 + 50


@pytest.mark.parametrize("verbose", [True, False])
def test_nothing_is_drawn_where_there_is_no_terminal(classifier, digits, capfd, verbose):
    run(classifier, digits, verbose=verbose)
    assert capfd.readouterr() == ("", "")
