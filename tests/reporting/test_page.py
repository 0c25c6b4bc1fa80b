"""The page as text: one file without a foreign address, names escaped, numbers those of the runs, gaps told."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fairart.evaluation import SanityCheck
from fairart.evaluation.results.calibration import reliability
from fairart.reporting.grouped import GroupedTable, TableCell
from fairart.reporting.page import render_page, write_page
from fairart.reporting.page.pixels import data_uri, opacities
from fairart.reporting.page.svg import Line, line_chart, reliability_diagram

VOID = {"meta", "link", "img", "br", "path", "rect", "circle"}


class Page(HTMLParser):
    """Elements with their attributes, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.open = [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, name):
        return [attributes[name] for _, attributes in self.elements if attributes.get(name) is not None]


@pytest.fixture(scope="module")
def full(made):
    options = {"eps": 0.1, "max_iter": 20}
    check = SanityCheck("more steps never help", False, "100 steps left 40 right, 20 steps 39", "pgd")
    runs = [
        made.run("at", seed, confidences=0.8, corruptions=[("fog", 1), ("fog", 5)], options=options, checks=[check] * (seed == 0))
        for seed in (0, 1)
    ]
    runs += [
        made.run("fair-tat", seed, confidences=0.7, corruptions=[("fog", 1), ("fog", 5)], options=options) for seed in (0, 1)
    ]
    return runs


@pytest.fixture(scope="module")
def page(full):
    return Page(render_page(full))


def test_every_tag_is_closed_and_ids_are_there_once(page):
    assert page.open == []
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    for target in page.all("href"):
        assert not target.startswith("#") or target[1:] in ids, target


def test_nothing_is_fetched_from_anywhere(page, full):
    for name in ("src", "href", "action", "poster", "srcset"):
        for address in page.all(name):
            assert address.startswith(("#", "data:")), address
    text = render_page(full)
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) == {"#hatch"}
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_numbers_are_those_of_the_runs(page, full):
    worst = [single.result["pgd"].worst_class_accuracy() for single in full[2:]]
    assert f"{100 * np.mean(worst):.1f} ± {100 * np.std(worst, ddof=1):.1f}" in page.text
    values = [float(value) for value in page.all("data-v")]
    overall = np.mean([single.result["pgd"].accuracy for single in full[:2]])
    assert np.isclose(values, overall, atol=1e-6).any()
    cfps = full[0].result["pgd"].confusion + full[1].result["pgd"].confusion
    assert all(np.isclose(values, score, atol=1e-6).any() for score in cfps.cfps)


def test_every_section_is_there(page):
    assert {"summary", "classes", "errors", "corruptions", "calibration", "training", "setup", "checks"} <= set(page.all("id"))


def test_a_failed_check_stands_beside_its_number(page):
    flags = [attributes["title"] for tag, attributes in page.elements if tag == "a" and attributes.get("class") == "flag"]
    assert flags == ["more steps never help: 100 steps left 40 right, 20 steps 39 (runs/at-0)"] * 2  # summary, classes
    assert "failed" in page.text


def test_the_same_runs_give_the_same_bytes(full, tmp_path):
    text = render_page(full)
    path = write_page(full, tmp_path / "report.html")
    assert path.read_bytes() == text.encode("utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


EVIL = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"


def test_names_of_users_are_text_wherever_they_stand(made):
    names = tuple(f"{EVIL}{number}" for number in range(10))
    check = SanityCheck(EVIL, False, EVIL, "pgd")
    options = {"names": names, "options": {EVIL: EVIL}, "checks": [check], "confidences": 0.6, "settings": {EVIL: EVIL}}
    shares = {"clean": [0.9] * 10, EVIL: [0.5] * 10, "pgd": [0.4] * 10}
    runs = [
        made.run(EVIL, name=EVIL, rates=shares, notices=(EVIL,), corruptions=[(EVIL, 1)], **options),
        made.run("at", rates=shares, **options),
    ]
    text = render_page(runs, title=EVIL)
    found = Page(text)
    assert found.open == []
    assert sum(tag == "script" for tag, _ in found.elements) == 1
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert all(address.startswith("data:") for address in found.all("src"))
    assert EVIL in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert "<script>alert" not in text


PLANNED = GroupedTable(
    title="digits: comparisons, <pgd>",
    corner="method",
    groups=(("seeds", ("",)), ("worst class", ("difference", "p (Holm)", "verdict"))),
    rows=(
        (
            "<b>a</b> against at",
            (TableCell("3"), TableCell("-1.5 [-2.0, -1.0]", best=True), TableCell("<0.001"), TableCell("worse")),
        ),
        ("b against at", (TableCell("3"), TableCell("-"), TableCell("-"), TableCell("not tested"))),
    ),
    notes=("p (Holm): corrected for 2 <planned> comparisons",),
)


def test_planned_comparisons_take_the_place_of_uncorrected_ones(full, page):
    assert "Differences to at" in page.text
    assert "comparisons" not in page.all("id")
    text = render_page(full, comparisons=[PLANNED])
    planned = Page(text)
    assert planned.open == []
    assert "Differences to at" not in planned.text
    assert "comparisons" in planned.all("id")
    assert "#comparisons" in planned.all("href")
    for shown in (
        "<b>a</b> against at",
        "\u22121.5 [\u22122.0, \u22121.0]",
        "not tested",
        "digits: comparisons, <pgd>",
        *PLANNED.notes,
    ):
        assert shown in planned.text
    section = text[text.index('<section id="comparisons"') : text.index('<section id="classes"')]
    # Sorted by the number, the smallest p-values first; words by their letters.
    assert re.findall(r'data-v="([^"]*)"', section) == ["3.0", "-1.5", "0.0", "3.0"]
    assert re.findall(r'class="(\w+)[^"]*" data-col="(\d)"', section) == [
        ("t", "0"),
        ("n", "1"),
        ("n", "2"),
        ("n", "3"),
        ("t", "4"),
    ]
    assert "<b>\u22121.5" in section


def test_a_failed_write_leaves_the_old_page(full, tmp_path, monkeypatch):
    path = write_page(full, tmp_path / "report.html")
    before = path.read_bytes()

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_page(full[:1], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_runs_without_evaluation_are_told_and_shown_with_what_they_have(made):
    waiting = made.run("trades", result=False, epochs=2, notices=("training has not finished: 2 of 3 epochs",))
    both = Page(render_page([waiting, made.run("at")]))
    assert "runs/trades-0: training has not finished: 2 of 3 epochs" in both.text
    assert "Accuracy on the training batches" in both.text
    alone = Page(render_page([waiting]))
    assert "No run was evaluated" in alone.text
    assert "summary" not in alone.all("id")
    bare = made.run("x", result=False, epochs=0)
    assert "training" not in Page(render_page([bare])).all("id")
    with pytest.raises(ValueError, match="at least one run"):
        render_page([])


def test_a_method_has_one_colour_on_the_whole_page(made):
    text = render_page([made.run("trades", result=False), made.run("at"), made.run("cfa")])
    numbered = re.findall(r'class="swatch m(\d) s\d" aria-hidden="true"></i>\s*([\w-]+)', text)
    assert {name: number for number, name in numbered} == {"at": "0", "cfa": "1", "trades": "2"}
    assert {number for number, name in numbered if name == "trades"} == {"2"}


def test_a_hundred_classes_are_a_picture_and_the_largest_confusions(made):
    found = Page(render_page([made.run("at", nb_classes=100), made.run("trades", nb_classes=100)]))
    assert found.open == []
    assert "taken for" in found.text
    assert len(render_page([made.run("at", nb_classes=100)])) < 1_500_000


def test_older_results_without_confidences_have_no_calibration(made):
    assert "calibration" not in Page(render_page([made.run("at")])).all("id")


def test_one_epoch_constant_budgets_and_absent_classes(made):
    shares = {"clean": [0.5, np.nan, 0.25], "pgd": [0.0, np.nan, 0.0]}
    found = Page(render_page([made.run("at", rates=shares, nb_classes=3, epochs=1, confidences=0.5)]))
    assert found.open == []
    assert "3, 1 without samples" in found.text


def test_pixels_are_the_table():
    image = pytest.importorskip("PIL.Image")
    table = np.array([[0.0, 0.5, 1.0], [np.nan, 1.0, 0.0]])
    alpha = opacities(table, low=0, high=1)
    content = base64.b64decode(data_uri(alpha, (1, 2, 3)).partition(",")[2])
    pixels = np.asarray(image.open(io.BytesIO(content)).convert("RGBA"))
    np.testing.assert_array_equal(pixels[..., 3], alpha)
    np.testing.assert_array_equal(pixels[..., :3], np.broadcast_to([1, 2, 3], (2, 3, 3)))
    np.testing.assert_array_equal(alpha, [[13, 134, 255], [0, 255, 13]])
    assert (opacities(np.full((2, 2), 0.3), low=0.3, high=0.3) == 13).all()


def test_charts_put_values_where_they_belong():
    chart = line_chart([Line(np.array([0.0, 50.0, np.nan, 100.0]), 0, "<b>", dashed=True)], label="a & b", high=100.0)
    (path,) = re.findall(r'class="line m0 dashed" d="([^"]*)"', chart)
    assert path == "M30 158L130 83M330 8"
    assert "&lt;b&gt;" in chart
    assert 'aria-label="a &amp; b"' in chart
    right = np.array([True] * 3 + [False])
    diagram = reliability_diagram(reliability(right, np.full(4, 0.5)), label="x", colour=1)
    (height,) = re.findall(r'class="acc" [^>]*height="([\d.]+)"', diagram)
    assert float(height) == pytest.approx(190 * 0.75)
    (gap,) = re.findall(r'class="gap" [^>]*height="([\d.]+)"', diagram)
    assert float(gap) == pytest.approx(190 * 0.25)


def test_watched_and_drawn_epochs_are_shown(made):
    runs = [made.run("fgsm-rs", 0), made.run("cfol", 0), made.run("at", 0)]
    last = runs[0].history[-1]["epoch"]
    for record in runs[0].history:
        fell = record["epoch"] == last
        record.update(pgd_accuracy=0.01 if fell else 0.4, overfitted=fell)
    for record in runs[1].history:
        record["sampling"] = [0.19, *[0.09] * 9]
    text = Page(render_page(runs)).text
    assert "Single-step training, in %" in text
    assert "Catastrophic overfitting" in text
    assert f"fgsm-rs, runs/fgsm-rs-0: epoch {last} (the first is 0)" in text
    drawn = text.partition("Classes drawn")[2].partition("Targets")[0]
    assert "cfol" in drawn
    assert "0.19" in drawn
    assert not re.search(r"\bat\b, ", drawn)
    plain = Page(render_page([made.run("at", 0)])).text
    assert "Single-step" not in plain
    assert "Classes drawn" not in plain


def test_epochs_that_entered_the_average_are_counted(made):
    none, some = made.run("cfa", 0), made.run("wat", 0)
    for record in none.history:
        record.update(averaged=False, validation_robust=[[3, 1], [2, 2]])
    for record in some.history:
        record.update(averaged=record["epoch"] > 0)
    text = " ".join(Page(render_page([none, some, made.run("at", 0)])).text.split())
    (said,) = re.findall(r"Epochs in the averaged weights: (.*?\.) ", text)
    number = len(some.history)
    assert (
        f"cfa, runs/cfa-0: 0 of {number} epochs (on validation data under attack the worst class reached 50.0 % at most)" in said
    )
    assert f"wat, runs/wat-0: {number - 1} of {number} epochs" in said
    assert "runs/at-0" not in said


def test_the_best_epoch_on_held_out_images_is_marked(made):
    run = made.run("at", 0)
    run.config["keep_best"] = "average"
    last = len(run.history) - 1
    for record in run.history:
        right = 9 if record["epoch"] == 1 else 5
        record["validation_robust"] = [[right, 10 - right], [0, 10]]
    page = render_page([run])
    text = " ".join(Page(page).text.split())
    assert f"at, {run.name}: 95.0 % in epoch 1, 75.0 % in the last, 20.0 points" in text
    chart = page.partition("Accuracy on validation data under attack")[2].partition("</svg>")[0]
    assert chart.count("<circle") == 1
    assert last > 1
    assert "robust overfitting" not in Page(render_page([made.run("at", 0)])).text
