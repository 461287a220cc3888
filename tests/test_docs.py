"""The pages of docs/: made from the code, or held to it. `pytest tests/test_docs.py --rewrite` makes them anew."""

import contextlib
import inspect
import io
import re

import pytest
import yaml

import labkit
from labkit import cli
from labkit.report import title_of
from tests.lessons import NOTEBOOKS, ROOT

DOCS = ROOT / "docs"
WORKFLOWS = sorted((DOCS / "ci").glob("*.yaml"))


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def help_of(*command):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        cli.main([*command, "--help"])
    return said.getvalue().strip()


def commands_page():
    parts = ["# Commands\n\nWhat `labkit COMMAND --help` says.\n", f"```text\n{help_of()}\n```\n"]
    for name in cli.COMMANDS:
        said = cli.SUMMARIES[name] if name == "kubectl" else f"```text\n{help_of(name)}\n```"
        parts.append(f"## labkit {name}\n\n{said}\n")
    return "\n".join(parts)


def members(thing):
    """The public methods and properties of a class, in the order of its source."""
    own = [(n, m) for n, m in vars(thing).items() if not n.startswith("_") and inspect.getdoc(m)]
    return [(n, m) for n, m in own if inspect.isfunction(m) or isinstance(m, property)]


def heading(level, name, thing):
    signature = "" if isinstance(thing, property) else str(inspect.signature(thing))
    return f"{'#' * level} `{name}{signature.replace('(self, ', '(').replace('(self)', '()')}`\n"


def described(name, thing):
    parts = [heading(2, name, thing), block(thing)]
    if inspect.isclass(thing):
        for each, member in members(thing):
            parts += [heading(3, f"{name}.{each}", member), block(member)]
    return "\n".join(parts)


def block(thing):
    return f"```text\n{inspect.getdoc(thing)}\n```\n"


def api_page():
    intro = (
        "# The Python names\n\n"
        "A beginner needs ten: `Lab`, its `wait`, `predict`, `check`, `draw`, `can`\nand `cleanup`,"
        " `connect`, `LabError` and `WaitTimeout`. The rest is for those who look further. All else in the package may"
        " change.\n"
    )
    return "\n".join([intro, *(described(name, getattr(labkit, name)) for name in sorted(labkit.__all__))])


def lessons_table():
    rows = []
    for path in NOTEBOOKS:
        title, about = title_of(path)
        rows.append(f"| [{title}](../notebooks/{path.name}) | {about} |")
    return "\n".join(rows)


def held(request, path, wanted):
    if request.config.getoption("--rewrite"):
        path.write_text(wanted)
    assert path.read_text() == wanted, "pytest tests/test_docs.py --rewrite"


def test_every_command_s_help_is_in_the_docs(request, plain):
    held(request, DOCS / "commands.md", commands_page())


def test_every_public_name_is_in_the_docs(request):
    held(request, DOCS / "public-api.md", api_page())


def test_the_course_page_names_every_lesson(request):
    page = (DOCS / "course.md").read_text()
    before, marker, rest = page.partition("<!-- lessons -->\n")
    _, end, after = rest.partition("<!-- /lessons -->")
    held(request, DOCS / "course.md", f"{before}{marker}{lessons_table()}\n{end}{after}")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")) + [ROOT / "README.md"], ids=lambda p: p.name)
def test_every_file_that_a_page_links_is_there(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.name)
def test_an_example_workflow_uses_what_there_is(workflow, plain):
    (job,) = yaml.safe_load(workflow.read_text())["jobs"].values()
    lines = [step["run"] for step in job["steps"] if "run" in step]
    assert "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in lines
    makefile = (ROOT / "Makefile").read_text()
    for line in lines:
        if line.startswith("make "):
            assert re.search(rf"^{line.split()[1]}:", makefile, re.MULTILINE), line
        elif "labkit " in line:
            _, name, *arguments = line.split()
            known = help_of(name)
            assert [a for a in arguments if a.startswith("--") and f"{a} " not in known] == [], line
