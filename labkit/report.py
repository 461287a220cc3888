"""The page that a run leaves: out/index.html, one file without anything from elsewhere."""

import datetime
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol


class Outcome(Protocol):
    """What the page says of a run."""

    @property
    def name(self) -> str: ...
    @property
    def failure(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def cells(self) -> int: ...


def write_index(out: Path, results: Sequence[Outcome], cluster: str) -> Path:
    """Write the page beside the executed notebooks; return its path."""
    page = out / "index.html"
    cards = "\n".join(_card(out, result) for result in results)
    now = datetime.datetime.now().astimezone()
    page.write_text(
        _PAGE.format(
            summary=escape(_summary(results)),
            where=escape(f"on {cluster} · {now:%Y-%m-%d %H:%M %Z}"),
            cards=cards or "<p>Nothing was run.</p>",
        )
    )
    return page


def title_of(notebook: Path) -> tuple[str, str]:
    """Return a notebook's first heading and the first paragraph after it."""
    import nbformat

    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError):
        return notebook.stem, ""
    lines = [line.strip() for c in cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("# ")), None)
    if start is None:
        return notebook.stem, ""
    rest = (line for line in lines[start + 1 :] if line and line[0] not in "#<|>")
    return lines[start].lstrip("# "), next(rest, "").replace("*", "").replace("`", "")


def _summary(results: Sequence[Outcome]) -> str:
    failed = sum(bool(r.failure) for r in results)
    total = sum(r.seconds for r in results)
    lessons = f"{len(results)} lesson{'s' if len(results) != 1 else ''}"
    return f"{lessons} in {total:.0f} s, " + (f"{failed} failed" if failed else "all cells ended well")


def _card(out: Path, result: Any) -> str:
    title, about = title_of(out / f"{result.name}.ipynb")
    state = "bad" if result.failure else "good"
    said = f"✗ cell {result.cell}: {result.failure}" if result.failure else f"✓ {result.cells} cells"
    return (
        f"<article class='{state}'><h2><a href='{escape(result.name)}.html'>{escape(title)}</a></h2>"
        f"<p>{escape(about)}</p><p class='facts'><span class='state'>{escape(said)}</span>"
        f"<span>{result.seconds:.1f} s</span><a href='{escape(result.name)}.ipynb'>notebook</a></p></article>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>labkit: the course, run</title><style>
:root{{color-scheme:light dark;--ink:#1f2430;--quiet:#566072;--page:#f5f6fa;--card:#fff;--line:#d9dde7;
--good:#1f7a43;--bad:#b3372c;--link:#2456b8}}
@media(prefers-color-scheme:dark){{:root{{--ink:#e8ebf2;--quiet:#aab3c5;--page:#13161c;--card:#1c2029;--line:#343b4a;
--good:#62c98a;--bad:#f08a80;--link:#8db4ff}}}}
*{{box-sizing:border-box}}body{{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,'Segoe UI',Arial,sans-serif}}
main{{max-width:56rem;margin:0 auto;padding:3rem 1.25rem}}h1{{margin:0;font-size:1.9rem;letter-spacing:-.01em}}
header p{{margin:.3rem 0;color:var(--quiet)}}a{{color:var(--link)}}a:focus-visible{{outline:3px solid var(--link)}}
article{{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--good);border-radius:10px;
padding:1rem 1.3rem;margin:1.1rem 0}}article.bad{{border-left-color:var(--bad)}}
h2{{margin:0;font-size:1.2rem}}h2 a{{text-decoration:none}}h2 a:hover{{text-decoration:underline}}
article p{{margin:.35rem 0}}.facts{{display:flex;flex-wrap:wrap;gap:1.4rem;color:var(--quiet);font-size:.92rem}}
.state{{color:var(--good);font-weight:600}}.bad .state{{color:var(--bad)}}
</style></head><body><main><header><h1>The course, run</h1><p>{summary}</p><p>{where}</p></header>
{cards}
</main></body></html>
"""
