"""Results in notebooks: HTML that is escaped and has every number, and data frames with one row a class and attack."""

import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairart.escapes import terminal
from fairart.evaluation import SanityCheck
from fairart.reporting.comparison import compare_runs

NAMES = ("<b>&amp;</b>", "'\"><script>x</script>", "a\nb")
RATES = {"clean": [0.9, 0.8, np.nan], "pgd": [0.4, 0.7, np.nan]}
CHECKS = (SanityCheck("<i>steps</i>", False, "more & more", "pgd"),)


class Page(HTMLParser):
    """Texts and tags; every tag that opens must close."""

    def __init__(self, source):
        super().__init__()
        self.texts, self.tags, self.open = [], set(), []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.open.append(tag)
        assert {name for name, _ in attributes} <= {"style"}
        # Only colours of the page around it: dark text on a dark page would not be seen.
        assert not any("#" in value or "rgb(" in value for _, value in attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


TAGS = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li"}


def test_html_of_results_is_escaped_and_whole(made):
    result = made.evaluation(RATES, names=NAMES, checks=CHECKS, corruptions=[("fog", 1)], options={})
    page = Page(result._repr_html_())
    assert page.tags <= TAGS
    assert {terminal(name) for name in NAMES} <= set(page.texts)
    assert any("fog" in text for text in page.texts)
    assert any(text.endswith("!") for text in page.texts)
    assert any("<i>steps</i> failed: more & more" in text for text in page.texts)
    alone = Page(result["pgd"]._repr_html_())
    assert alone.tags <= TAGS
    rows = "|".join(alone.texts)
    assert "'\"><script>x</script>|20|70.0|" in rows
    assert "a b|0|-|-|-" in rows
    assert "worst class: <b>&amp;</b>|20|40.0|" in rows


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=3, unique=True))
def test_html_of_a_comparison_is_escaped_whatever_the_names(made, names):
    runs = [made.run(trainer, rates=RATES, names=names, name=trainer) for trainer in names[:2]]
    page = Page(compare_runs(runs)._repr_html_())
    assert page.tags <= TAGS
    assert {text for name in names if (text := terminal(name))} <= {text.removesuffix(" !") for text in page.texts}


def test_a_frame_has_a_row_for_each_class_and_attack(made):
    frame = made.evaluation(RATES, names=NAMES, checks=CHECKS, options={}).to_frame()
    assert list(frame[["attack", "class"]].itertuples(index=False, name=None)) == [(a, k) for a in RATES for k in range(3)]
    assert list(frame["name"]) == [*NAMES, *NAMES]
    np.testing.assert_allclose(frame["accuracy"], [*RATES["clean"], *RATES["pgd"]])
    assert list(frame["n"]) == [20, 20, 0] * 2
    assert list(frame["correct"]) == [18, 16, 0, 8, 14, 0]
    assert list(frame["worst"]) == [False, True, False, True, False, False]
    assert list(frame["doubtful"]) == [False] * 3 + [True] * 3
    present = frame.dropna()
    assert ((present["low"] < present["accuracy"]) & (present["accuracy"] < present["high"])).all()
    assert frame.groupby("attack")["correct"].sum().to_dict() == {"clean": 34, "pgd": 22}


def test_a_frame_of_a_comparison_has_means_over_seeds(made):
    shares = [{"clean": [0.5, value]} for value in (0.4, 0.6, 0.8)]
    runs = [made.run("at", 0, rates=shares[0]), made.run("at", 1, rates=shares[1]), made.run("trades", rates=shares[2])]
    frame = compare_runs(runs).to_frame().set_index(["method", "attack", "class"])
    assert frame.loc[("at", "clean", 1), "accuracy"] == pytest.approx(0.5)
    assert frame.loc[("at", "clean", 1), "std"] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert frame.loc[("at", "clean", 1), "seeds"] == 2
    assert np.isnan(frame.loc[("trades", "clean", 0), "std"])
    assert list(frame.loc["trades"]["worst"]) == [True, False]
    assert list(frame["n"]) == [20] * 4


def test_frames_without_pandas_say_what_to_install(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = made.evaluation(RATES)
    for call in (result.to_frame, compare_runs([made.run("at")]).to_frame):
        with pytest.raises(ImportError, match=r"to_frame needs pandas: pip install \"fairart\[pandas\]\""):
            call()
