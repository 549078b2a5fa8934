"""HTML pages that need nothing but themselves: one style for all reports, templates that escape what they are given."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from keras_resnet.untrusted import visible

if TYPE_CHECKING:
    import jinja2


class Html(str):
    """Text that is HTML already: templates take it as it is."""

    def __html__(self) -> str:
        """The text itself."""
        return self


@functools.cache
def _environment() -> jinja2.Environment:
    """Templates by package and file, like `"keras_resnet/page.html"` for `keras_resnet/templates/page.html`."""
    import jinja2

    def source(name: str) -> str:
        package, _, file = name.partition("/")
        return resources.files(package).joinpath("templates", file).read_text(encoding="utf-8")

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: visible(value, lines=True) if type(value) is str else value,
    )
    made.tests["number_like"] = _is_number_like
    made.filters["breakable"] = _breakable
    return made


def render(template: str, **values: object) -> str:
    """Fills a template; everything is escaped but `Html`.

    Args:
        template: package and file, like `"export/report.html"`; a page begins with
            `{% extends "keras_resnet/page.html" %}` and fills `{% block body %}`, parts come from
            `{% import "keras_resnet/parts.html" as parts %}`.
        **values: values by their names in the template; `title` is that of the window.
    """
    return _environment().get_template(template).render(values)


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Makes a table whose first column names the rows; numbers stand to the right.

    Args:
        caption: words above the table, plain text like all cells.
        header: names of the columns.
        rows: cells; None is shown as a dash.
    """
    parts: Any = _environment().get_template("keras_resnet/parts.html").module  # its macros
    return Html(parts.table(caption, header, [list(row) for row in rows]))


def _breakable(text: object) -> Html:
    """Text that may be broken behind the marks that names are made of, and so not inside words."""
    return Html(re.sub(r"(?<=\w)([/_.:=-]+)(?=\w)", r"\1<wbr>", html.escape(visible(str(text)))))


def _is_number_like(value: object) -> bool:
    is_text = isinstance(value, str) and value.lstrip("+-−")[:1].isdigit()
    return is_text or isinstance(value, int | float)
