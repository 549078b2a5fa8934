"""HTML pages that need nothing but themselves: one style for all reports."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 76rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; line-height: 1.25; } h2 { margin: 1.5rem 0 0; font-size: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; } caption { text-align: left; color: #57606a; font-size: .9rem; }
th { text-align: left; font-weight: 600; white-space: nowrap; }
.list th, .list td { padding: .35rem .6rem; border-bottom: 1px solid #d0d7de; }
.list thead th { border-bottom: 2px solid #57606a; }
.list td { white-space: nowrap; }
.list tbody th { white-space: normal; overflow-wrap: anywhere; min-width: 11rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.chart { width: 100%; } .chart th { width: 10rem; font-weight: 400; padding-right: .6rem; } .track { width: auto; }
.chart .number { width: 6.5rem; padding-left: .6rem; }
.bar { display: block; height: 1rem; border-radius: 0 3px 3px 0; min-width: 1px; background: #1f6feb; }
.good { color: #116329; } .bad { color: #a40e26; font-weight: 700; }
details { margin: .4rem 0; } summary { cursor: pointer; }
.bar.onnx { background: #bc4c00; }
svg, img { max-width: 100%; height: auto; } figure { margin: 1rem 0; }
code { overflow-wrap: anywhere; }
"""


def page(title: str, body: str) -> str:
    """A whole page.

    Args:
        title: of the window, plain text.
        body: HTML.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose first column names the rows; numbers stand to the right.

    Args:
        caption: plain text, like all cells.
        header: of the columns.
        rows: None is shown as a dash.
    """

    def cell(value: object) -> str:
        number = isinstance(value, (int, float)) or (isinstance(value, str) and value.lstrip("+-−")[:1].isdigit())
        text = "–" if value is None else html.escape(str(value))
        return f'<td class="number">{text}</td>' if number else f"<td>{text}</td>"

    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{html.escape(str(name))}</th>{"".join(map(cell, values))}</tr>' for name, *values in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption, quote=True)}">'
        f'<table class="list"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
