"""`labkit dashboard`: a page of its own, on this machine alone, behind a token."""

import socket
import urllib.request

import pytest

from tests.live import fresh_namespace, make, pod

pytestmark = [pytest.mark.browser, pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def dashboard(chromium, cluster, environment):
    """The address of the page."""
    from tests.browser.jupyterlab import served

    arguments = ["dashboard", "--cluster", f"glassbox:{cluster.name}", "--no-browser", "--port", str(free_port())]
    with served(arguments, environment) as address:
        yield address


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_the_dashboard_shows_the_namespace_chosen_and_the_components(dashboard, cluster, page):
    from playwright.sync_api import expect

    with fresh_namespace(cluster) as namespace:
        make(cluster, namespace, pod("pet", "sleep 1000"))
        page.goto(dashboard)
        expect(page.locator(".lk-head").first).to_contain_text("namespace default")
        page.get_by_label("namespace").select_option(namespace)
        expect(page.locator(".lk-tile")).to_have_text("✓ pet")
        expect(page.locator(".lk-component").filter(has_text="scheduler")).to_contain_text("running")
        stranger = urllib.request.urlopen(dashboard.split("?")[0])
        assert "/login?" in stranger.geturl()
