import importlib.util
import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made():
    spec = importlib.util.spec_from_file_location("reporting_made", Path(__file__).with_name("_made.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium: that of FAIRART_CHROMIUM, else one that is installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright runs the tests of the page")
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
    given = os.environ.get("FAIRART_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    with playwright.sync_playwright() as driver:
        executable = given or driver.chromium.executable_path
        if not Path(executable).is_file():
            pytest.skip("no Chromium is installed: apt-get install chromium, or playwright install chromium")
        # Chromium's sandbox refuses root, which containers of tests often are.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        with driver.chromium.launch(executable_path=executable, args=["--no-sandbox"] if root else []) as opened:
            yield opened
