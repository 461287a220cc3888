"""A student in a browser: lesson 03 of the student edition, run, tried, mended; and the live view, clicked."""

import re

import nbformat
import pytest

from tests.browser.conftest import picture

pytestmark = [pytest.mark.browser, pytest.mark.cluster, pytest.mark.timeout(300)]

WRONG = "!kubectl label pods -l tier=frontend backup=tonight"
RIGHT = "!kubectl label pods --all backup-\n!kubectl label pods -l 'environment,tier!=frontend' backup=tonight"
LIVE = """from labkit import Lab

lab = Lab(cluster="glassbox:{name}", namespace="live-view")
!kubectl create deployment web --image=registry.k8s.io/pause:3.10 --replicas=2
lab.wait("deployment/web", "Available")
lab.live()"""


@pytest.fixture
def opened(jupyterlab, page):
    """Open a notebook of the student edition."""
    from tests.browser.jupyterlab import NotebookPage

    return lambda name: NotebookPage(page, jupyterlab, f"notebooks/{name}")


def test_a_student_runs_lesson_03_and_mends_an_exercise(opened, cluster, page):
    from playwright.sync_api import expect

    notebook = opened("03_labels.ipynb")
    parameters = notebook.cell("cluster =")
    notebook.write(parameters, f'cluster = "glassbox:{cluster.name}"\nnamespace = student = ""\nseed = 0')
    notebook.run_all()
    check = notebook.cell('lab.check("03.1")')
    expect(check).to_contain_text(": not tried ·")
    expect(page.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)
    expect(page.locator(".jp-CodeCell").last).to_contain_text("removed namespace lab-03")

    exercise = notebook.cell("YOUR CODE HERE")
    exercise.locator(".cm-content").click()
    notebook.menu("Run All Above Selected Cell")
    notebook.wait_for(notebook.cell("'environment in (test,development)'"))  # the last cell above
    for source, verdict in ((WRONG, "wrong"), (RIGHT, "right")):
        notebook.write(exercise, source)
        notebook.run(exercise)
        notebook.run(check)
        expect(check).to_contain_text(f": {verdict} ·")
        picture(page, f"exercise_{verdict}")


def test_the_live_view_scales_kills_and_shows_what_comes_of_it(opened, cluster, page, work):
    from playwright.sync_api import expect

    cell = nbformat.v4.new_code_cell(LIVE.format(name=cluster.name))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    (work / "notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), work / "notebooks" / "live.ipynb")
    opened("live.ipynb").run_all()

    view = page.locator(".lk-view")
    expect(view).to_contain_text("Deployment web · 2 of 2 ready")
    view.get_by_role("button", name="+", exact=True).click()
    expect(view).to_contain_text("Deployment web · 3 of 3 ready")
    assert pods(cluster) == texts(view)

    victim = view.locator(".lk-tile").first
    name = victim.inner_text().split()[-1]
    victim.click()
    expect(view).to_contain_text(f"pod {name} · Running")
    view.get_by_role("button", name="kill", exact=True).click()
    expect(view).to_contain_text(f"pod {name} is gone")
    expect(view).to_contain_text("3 pods, 3 ready")
    assert name not in texts(view)
    assert pods(cluster) == texts(view)


def texts(view):
    """The names on the view's tiles."""
    return sorted(re.sub(r"^\W+", "", each) for each in view.locator(".lk-tile").all_inner_texts())


def pods(cluster):
    found = cluster.kubectl("get", "pods", "-n", "live-view", "-o", "name").split()
    return sorted(each.removeprefix("pod/") for each in found)
