"""The card that a picture is drawn on: its own background, dark where the reader's screen is, title, caption, words.

A picture's words (title and description) are there for a screen reader; what colour says is said by a mark as well.
"""

from html import escape

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

MARGIN = 18  # pixels: around everything
CHARACTER = 7.6  # pixels: the width of a character of the 13 px sans-serif font, generously
TOP = 74  # pixels: where the picture begins below title and caption


def card(title: str, caption: str, description: str, size: tuple[float, float], body: str, style: str = "") -> str:
    """Return the SVG of `size` (pixels; wider when title or caption need it), `body` drawn on it."""
    width, height = wide_enough(size[0], title, caption), size[1]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' role='img' "
        f"style='max-width:100%;height:auto' "
        f"viewBox='0 0 {width:.0f} {height:.0f}' aria-labelledby='t d'><title id='t'>{escape(title)}</title>"
        f"<desc id='d'>{escape(description)}</desc><style>{_STYLE}{style}</style>"
        f"<rect class='card' x='.5' y='.5' width='{width - 1:.0f}' height='{height - 1:.0f}' rx='10'/>"
        f"<text class='title' x='{MARGIN}' y='32'>{escape(title)}</text>"
        f"<text class='quiet' x='{MARGIN}' y='53'>{escape(caption)}</text>{body}</svg>"
    )


def wide_enough(width: float, title: str, caption: str) -> float:
    """Return a width (pixels) that holds title and caption too."""
    return max(width, MARGIN * 2 + len(caption) * CHARACTER, MARGIN * 2 + len(title) * CHARACTER * 1.3)


_STYLE = (
    "text{font:13px system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif;fill:#1f2430}"
    ".title{font-size:16px;font-weight:600}.key{font-weight:600}.quiet{fill:#4d5565}"
    ".card{fill:#fff;stroke:#d5d9e2}.band{fill:#fff3d1;stroke:#b98900}.grid{stroke:#e3e6ee}"
    ".name{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,monospace;font-size:12.5px}"
    "@media(prefers-color-scheme:dark){text{fill:#e8ebf2}.quiet{fill:#b3bccd}"
    ".card{fill:#1b1f27;stroke:#3a4150}.band{fill:#3d3414;stroke:#d9ab2b}.grid{stroke:#323947}}"
)
