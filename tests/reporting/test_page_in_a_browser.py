"""The page as a reader meets it: headless Chromium, with every request refused but the file itself."""

import contextlib

import pytest

from fairart.evaluation import SanityCheck
from fairart.reporting.page import write_page

EVIL = "<img src=http://example.org/x onerror='window.brokenInto = 1'>"


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    names = (EVIL, "a class with quite a long name that goes on", *map(str, range(8)))
    options = {
        "names": names,
        "confidences": 0.8,
        "corruptions": [(name, severity) for name in ("fog", "gaussian_noise") for severity in range(1, 6)],
        "options": {"eps": 0.1, "text": "x" * 200},
        "checks": [SanityCheck("growing eps leads to zero", False, "at eps 1 there are 3 samples right", "pgd")],
    }
    runs = [made.run(trainer, seed, **options) for trainer in ("at", "fair-tat", EVIL) for seed in (0, 1)]
    runs.append(made.run("trades", result=False, notices=("training has not finished: 3 of 9 epochs",)))
    return write_page(runs, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def visit(browser, file):
    """``with visit(**context options) as page``: the page, open; at the end nothing may have gone wrong."""

    @contextlib.contextmanager
    def opened(**options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = context.new_page()
        wrong, asked = [], []
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        # Fetched from nowhere: even an address that would answer is refused, and counted.
        page.route("**/*", lambda route: route.continue_() if route.request.url == file.as_uri() else route.abort())
        page.goto(file.as_uri())
        yield page
        foreign = [address for address in asked if address != file.as_uri() and not address.startswith("data:")]
        assert (wrong, foreign) == ([], [])
        context.close()

    return opened


def column(page, table, number):
    return page.locator(f"{table} tbody tr").evaluate_all(
        "(rows, number) => rows.map((row) => row.cells[number].textContent.trim())", number
    )


CLASSES = "#classes details[open] table.sortable"


def test_it_opens_without_an_error_or_a_request(visit):
    with visit() as page:
        assert page.title() == f"made: at, fair-tat, {EVIL}, trades"
        assert page.locator("table.sortable").count() > 10
        assert page.locator("img").evaluate_all("(all) => all.every((one) => one.complete && one.naturalWidth > 0)")
        assert page.evaluate("window.brokenInto") is None


def test_tables_sort_by_mouse(visit):
    with visit() as page:
        head = page.locator(f"{CLASSES} thead th[data-col='3']")
        before = column(page, CLASSES, 0)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        # Read back from the shown text, not from what the script sorts by.
        shown = page.locator(f"{CLASSES} tbody tr").evaluate_all(
            "(rows) => rows.map((row) => parseFloat(row.cells[3].firstChild.textContent || row.cells[3].textContent))"
        )
        assert shown == sorted(shown, reverse=True)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        by_name = page.locator(f"{CLASSES} thead th[data-col='0']")
        by_name.locator("button").click()
        assert (by_name.get_attribute("aria-sort"), head.get_attribute("aria-sort")) == ("ascending", None)
        assert sorted(column(page, CLASSES, 0)) == sorted(before)
        assert column(page, CLASSES, 0)[:3] != before[:3] or before == column(page, CLASSES, 0)
        numbers = [name for name in column(page, CLASSES, 0) if name.isdigit()]
        assert numbers == sorted(numbers, key=int)


def test_tables_sort_by_keyboard(visit):
    with visit() as page:
        button = page.locator("#summary table.sortable thead th[data-col='2'] button").first
        button.focus()
        page.keyboard.press("Enter")
        shown = (
            page.locator("#summary table.sortable")
            .first.locator("tbody tr")
            .evaluate_all("(rows) => rows.map((row) => parseFloat(row.cells[2].textContent))")
        )
        assert shown == sorted(shown, reverse=True)
        page.keyboard.press("Space")
        assert page.locator("#summary table.sortable thead th[data-col='2']").first.get_attribute("aria-sort") == "ascending"


LUMINANCES = """(all, property) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    return all.map((one) => {
        canvas.fillStyle = getComputedStyle(one)[property];
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    });
}"""
"""Relative luminance as WCAG defines it, of a colour as the browser computes it."""


def luminances(page, selector, kind):
    return page.locator(selector).evaluate_all(LUMINANCES, kind)


def is_dark(page):
    return luminances(page, "body", "backgroundColor")[0] < 0.2


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_system_and_the_button(visit, scheme):
    with visit(color_scheme=scheme) as page:
        assert is_dark(page) == (scheme == "dark")
        page.locator("#theme").click()
        assert is_dark(page) == (scheme == "light")
        page.reload()
        assert is_dark(page) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(visit, scheme):
    with visit(color_scheme=scheme) as page:
        pairs = [("body", "body"), (".lead", "body"), ("td.n", ".card"), ("td small", ".card"), (".notices li", ".notices")]
        for selector, behind in [*pairs, ("td.up", ".card"), ("td.down", ".card"), (".flag", ".card"), ("svg text", ".card")]:
            kind = "fill" if selector.startswith("svg") else "color"
            ends = luminances(page, selector, kind)[0], luminances(page, behind, "backgroundColor")[0]
            assert contrast(*ends) >= 4.5, selector
        texts, grounds = (luminances(page, "td.heat", kind) for kind in ("color", "backgroundColor"))
        assert len(texts) > 100
        assert min(map(contrast, texts, grounds)) >= 3.9


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_the_page_never_scrolls_sideways(visit, width):
    with visit(viewport={"width": width, "height": 844}, has_touch=True) as page:
        page.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Wide tables are all there, and scroll inside their boxes.
        assert page.locator(".scroll").evaluate_all(
            "(all) => all.every((box) => box.scrollWidth <= box.clientWidth || getComputedStyle(box).overflowX === 'auto')"
        )


def test_without_scripts_everything_can_be_read(visit):
    with visit(java_script_enabled=False) as page:
        assert page.locator("#theme").is_hidden()
        assert page.locator("#summary td").count() > 10
