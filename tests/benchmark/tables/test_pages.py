"""Each table of a grid has a page of its own, whatever its name."""

from hypothesis import given
from hypothesis import strategies as st

from fairart.benchmark.tables.pages import page_names


def test_a_single_page_has_the_short_name():
    assert page_names(["digits, small-cnn"]) == {"digits, small-cnn": "report.html"}


def test_common_names_are_readable():
    assert page_names(["digits, small-cnn", "cifar10, small-cnn"]) == {
        "digits, small-cnn": "report-digits-small-cnn.html",
        "cifar10, small-cnn": "report-cifar10-small-cnn.html",
    }


def test_names_that_differ_in_one_sign_have_their_own_pages():
    names = page_names(["npz:a_b.npz", "npz:a-b.npz", "digits"])
    assert len(set(names.values())) == 3
    assert names["npz:a_b.npz"].startswith("report-npz-a-b-npz.")
    # The file does not depend on the order.
    assert page_names(["digits", "npz:a-b.npz", "npz:a_b.npz"]) == names


def test_names_in_another_script_have_their_own_pages():
    names = page_names(["\u6570\u5b57", "\u043f\u0440\u0438", "digits"])
    assert len(set(names.values())) == 3


@given(st.lists(st.text(st.sampled_from("aA_-. \u00e9\u6570/\\")) | st.text(), min_size=1, max_size=6, unique=True))
def test_no_two_tables_share_a_file(tables):
    names = page_names(tables)
    assert list(names) == tables
    files = [name.lower() for name in names.values()]  # some file systems do not tell the case apart
    assert len(set(files)) == len(files)
    assert all(name.isascii() and "/" not in name and len(name) < 200 for name in files)
