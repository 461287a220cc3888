"""A browser, a cluster and a JupyterLab for the browser's tests; every test leaves a picture in out/browser/."""

import os
from pathlib import Path

import pytest

from tests.lessons import ROOT

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]  # root's browser has no sandbox of its own
PICTURES = ROOT / "out" / "browser"
MILLISECONDS = 120_000


@pytest.fixture(scope="session")
def chromium():
    """Debian's chromium, without a screen."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, request):
    """A page; at the test's end it is pictured, however the test ended."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000}, locale="en")
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    yield page
    picture(page, request.node.name.removeprefix("test_"))
    context.close()


def picture(page, name):
    """Keep what the page shows."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURES / f"{name}.png"))


@pytest.fixture(scope="session")
def environment(cluster, tmp_path_factory):
    """The environment of the kit's commands: the tests' cluster, and nobody's own settings of Jupyter."""
    from tests.browser.jupyterlab import settings

    home = tmp_path_factory.mktemp("student")
    return {
        **os.environ,
        "HOME": str(home),
        "LABKIT_HOME": str(cluster.home),
        "JUPYTERLAB_SETTINGS_DIR": str(settings(home / "settings")),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """The folder of the student edition."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def jupyterlab(chromium, environment, work):
    """The address of JupyterLab on the student edition, as `labkit lab` opens it."""
    from tests.browser.jupyterlab import served

    with served(["lab", "--source", str(ROOT), "--out", str(work), "--no-browser", "--port", "0"], environment) as at:
        yield at
