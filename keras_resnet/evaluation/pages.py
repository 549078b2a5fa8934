"""An assessment as one HTML page."""

from __future__ import annotations

from pathlib import Path

from keras_resnet import files, pictures
from keras_resnet.data import Split
from keras_resnet.evaluation import corruptions
from keras_resnet.evaluation.assessment import Assessment, mean_score
from keras_resnet.evaluation.shown import name_of, pictured, seen
from keras_resnet.gallery import Shown, Strip, image_tag, mark
from keras_resnet.page import Html, render, table
from keras_resnet.tasks.results import Summary

_SIDE = 320  # pixels of pictures that are compared
_DRAWING = 640  # pixels of pictures with words in them


def write_html(
    assessment: Assessment,
    title: str,
    command: str,
    path: Path,
    *,
    overwrite: bool = False,
    examples: Split | None = None,
) -> None:
    """Writes the page: figures, classes, confusions, reliability, corruptions, examples, each chart with its table.

    Args:
        assessment: assessment that the page is about.
        title: title of the page.
        command: command line that made it.
        path: file to write.
        overwrite: replace an existing file.
        examples: the test examples, whose sure mistakes and unsure predictions are shown as pictures; None for none.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    text = render(
        "keras_resnet/assessment.html",
        title=title,
        figures=_figures(assessment),
        members=_members(assessment),
        sections=getattr(assessment.task.code, "sections", _plain_sections)(assessment.summary),
        robustness=_robustness(assessment),
        galleries=_galleries(assessment, examples),
        strips=_strips(assessment, examples),
        command=command,
    )
    with files.writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _figures(found: Assessment) -> str:
    figures = {
        name: text for name, text in found.summary.figures().items() if name != "ECE"
    }  # has a section of its own
    rows: list[tuple[str, object]] = [
        (_NAMES.get(name, name), text.replace(" .. ", " to ")) for name, text in figures.items()
    ]
    rows += [
        ("images", found.summary.scores.count),
        ("views of an image", str(found.views)),
        ("images per second", f"{found.images_per_second:,.0f}"),
        ("processor", found.processor),
    ]
    return table("All test images", ("figure", "value"), rows)


def _galleries(found: Assessment, examples: Split | None) -> list[tuple[str, list[Shown]]]:
    if examples is None or examples.key != "image" or found.reporter is not None:
        return []
    return [
        (title, [pictured(examples, index, words) for index, words in chosen])
        for title, chosen in found.remarkable.items()
        if chosen
    ]


def _strips(found: Assessment, examples: Split | None) -> list[tuple[str, list[Strip], list[tuple[Html, str, str]]]]:
    """Examples with the pictures that belong beside them: their truth and the answer, say."""
    reporter = found.reporter
    if examples is None or examples.key != "image" or reporter is None:
        return []
    legend = [(mark(colour), name, "") for name, colour in reporter.legend()]

    def strip(index: int, words: str) -> Strip:
        name, pixels = name_of(examples, index), seen(examples, index, whole=bool(found.views.tiles))
        if hasattr(reporter, "over"):  # drawings, which need no exact colours, and may be larger than the example
            drawn = reporter.over(index, pixels).items()
            images = {what: image_tag(each, f"{what} of {name}", side=_DRAWING) for what, each in drawn}
            return Strip(images, name, words)
        shown = {"image": image_tag(pixels, name, side=_SIDE)}
        for what, picture in reporter.beside(index).items():
            shown[what] = image_tag(picture, f"{what} of {name}", side=_SIDE, exact=True)
        return Strip(shown, name, words)

    return [
        (title, [strip(index, words) for index, words in chosen], legend)
        for title, chosen in reporter.remarkable().items()
        if chosen
    ]


_NAMES = {"loss": "cross-entropy"}


def _members(found: Assessment) -> str:
    if not found.members:
        return ""
    rows = [(name, *each.figures().values()) for name, each in found.members]
    rows.append(("together", *found.summary.scores.figures().values()))
    header = ("model", *found.summary.scores.figures())
    return table("Its members alone", header, rows)


def _plain_sections(found: Summary) -> Html:
    tables = [(each.title, table(each.title, each.columns, each.rows)) for each in found.tables()]
    return Html(render("keras_resnet/tables.html", tables=tables))


def _robustness(found: Assessment) -> dict[str, object]:
    if not found.robustness:
        return {}
    score, clean = found.task.score, found.summary.scores.value
    curves = {
        kind: ((0, *corruptions.STRENGTHS), [100 * value for value in (clean, *values)])
        for kind, values in found.robustness.items()
    }
    name = score.title
    chart = pictures.lines(f"{name} on corrupted images", curves, "strength (0: none)", f"{score.name} in %")
    rows = [(kind, *map(score.text, values)) for kind, values in found.robustness.items()]
    header = ("corruption", *(f"strength {s}" for s in corruptions.STRENGTHS))
    return {
        "mean": score.text(mean_score(found.robustness)),
        "clean": score.text(clean),
        "chart": pictures.svg(chart, f"{name} over the strength of each corruption; the table below has its numbers."),
        "table": table(f"{name} by corruption and strength", header, rows),
    }
