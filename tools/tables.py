#!/usr/bin/env python3
"""Writes the tables of the pages in docs/ from the code and from what benchmarks found: tools/tables.py [--check].

A table stands between `<!-- NAME -->` and `<!-- /NAME -->` of its page. With --check nothing is written; the exit
status is 1 if a table is not what the code says. Sentences with figures (`quotes.QUOTES`) are only looked up.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from export.program import COMMANDS
from keras_resnet.nets.specs import SPECS, list_models
from keras_resnet.parsing import Parser
from keras_resnet.program import Command
from keras_resnet.training.recipes import RECIPES, Recipe

sys.path.append(str(Path(__file__).resolve().parent))

from measured import TABLES  # noqa: E402
from quotes import QUOTES  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def _markdown(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def models() -> str:
    """The variants."""
    rows = [
        (f"`{name}`", SPECS[name].block, "-".join(map(str, SPECS[name].depths)), SPECS[name].shortcut,
         SPECS[name].convention, f"{SPECS[name].default_size} x {SPECS[name].default_size}")
        for name in list_models()
    ]  # fmt: skip
    return _markdown(("name", "block", "blocks per stage", "shortcut", "convention", "input"), rows)


def weights() -> str:
    """The registered weight sets."""
    from keras_resnet.weights import list_weights

    rows = [
        (
            f"`{w.spec}`",
            f"`{w.name}`",
            f"{100 * w.top1:.2f} %" + (f" {w.figure}" if w.figure != "top-1" else ""),
            w.resolution,
            w.license,
            w.source.partition(";")[0],
        )
        for w in (*list_weights(), *list_weights(task="segmentation"))
    ]
    return _markdown(("model", "weights", "top-1", "pixels", "licence", "source"), rows)


def recipes() -> str:
    """The recipes."""
    rows = [
        (f"`{r.name}`", f"`{r.model}`", r.dataset, r.epochs, _expected(r),
         r.wall_time, r.hardware)
        for r in RECIPES.values()
    ]  # fmt: skip
    kept = (
        "What was measured here: [file](../benchmarks/results/recipes-kept.json); the short ones anew in [Benchmarks]"
    )
    table = _markdown(("recipe", "model", "data", "epochs", "test accuracy", "time", "measured on"), rows)
    return f"{kept}(benchmarks.md).\n\n{table}"


def _expected(recipe: Recipe) -> str:
    figure = " mean IoU" if recipe.task == "segmentation" and recipe.expected else ""
    return " to ".join(f"{100 * e:.2f} %" for e in recipe.expected) + figure


def formats() -> str:
    """The formats and their tolerances."""
    from export.formats.artifacts import all_artifacts, artifact
    from export.formats.precisions import QUANTIZERS
    from export.proof.gates import limit_of

    rows = []
    for name in dict.fromkeys(each.partition("@")[0] for each in all_artifacts(QUANTIZERS)):
        made = artifact(name)
        t = limit_of(made.precision, "classification", {})
        limits = (t.max_abs, t.cosine, t.sqnr, f"{t.agreement:.1%}", f"{t.drop:.1f}")
        io = ", ".join(made.offer.io)
        rows.append((f"`{name}`", f"{made.input}: {io}", ", ".join(made.offer.quantizers) or "–", *limits))
    columns = (
        "artifact",
        "input and its dtypes",
        "quantizers",
        "max abs",
        "cosine",
        "SQNR dB",
        "agreement",
        "drop, points",
    )
    return _markdown(columns, rows)


def targets() -> str:
    """The places where models run."""
    from export.targets.table import TARGETS

    rows = []
    for row in TARGETS.values():
        precisions = ", ".join(f"{name} ({'/'.join(io)})" for name, io in row.io.items())
        size = f", {row.size} x {row.size}" if row.size else ""
        input_, tasks = f"{' or '.join(row.inputs)}{size}", ", ".join(row.tasks)
        rows.append((f"`{row.name}`", row.summary, tasks, precisions, input_, row.checked_by))
    return _markdown(("target", "place", "tasks", "precision (input and output)", "input", "checked by"), rows)


def settings() -> str:
    """Every setting of a recipe, with its default for data of one's own."""
    from keras_resnet.training.describe import described

    rows = [
        (f"`{each.name}`", f"`{each.text}`" if each.text else "", _cell(each.range), _cell(each.meaning))
        for each in described(RECIPES["photos"])
    ]
    return _markdown(("setting", "in `photos`", "range", "meaning"), rows)


def arguments() -> str:
    """The arguments of `build`, with the words of its docstring."""
    from keras_resnet import build

    said = inspect.cleandoc(build.__doc__ or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
    meanings = {name: " ".join(text.split()) for name, text in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", said, re.M)}
    rows = []
    for name, each in inspect.signature(build).parameters.items():
        default = "" if each.default is inspect.Parameter.empty else f"`{each.default!r}`".replace("'", '"')
        rows.append((f"`{name}`", default, _cell(meanings[name])))
    return _markdown(("argument", "default", "meaning"), rows)


def commands() -> str:
    """All commands with all options, their old spellings and their meaning."""
    return "\n".join(_section(row) for row in COMMANDS if not row.former).rstrip("\n")


def _section(row: Command) -> str:
    parser = Parser(prog=f"keras-resnet {row.name}")
    row.fill(parser)
    lines = [f"### {row.name}", "", f"{row.summary[:1].upper()}{row.summary[1:]}.", "", "| option | before | meaning |"]
    lines += ["|---|---|---|", *(f"| {' | '.join(cells)} |" for cells in _options(parser)), ""]
    return "\n".join(lines)


def _options(parser: Parser) -> Iterator[tuple[str, str, str]]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        old = [f"`{before}`" for before, now in parser.former.items() if now in action.option_strings]
        if "--data" in action.option_strings:
            old.append("`--data-dir`")
        names = ", ".join(action.option_strings) or (action.metavar or action.dest)
        value = "" if action.nargs == 0 or not action.option_strings else f" {action.metavar or _choices(action)}"
        text = (action.help or "") % {**vars(action), "prog": parser.prog}
        yield _cell(f"`{names}{value}`"), ", ".join(old), _cell(text)


def _choices(action: argparse.Action) -> str:
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "variants.md": {"models": models},
    "recipes.md": {"recipes": recipes, "settings": settings},
    "weights.md": {"weights": weights},
    "build.md": {"arguments": arguments},
    "export.md": {"formats": formats},
    "places.md": {"targets": targets},
    "commands.md": {"commands": commands},
    "benchmarks.md": TABLES,
}


def main(check: bool) -> int:
    """Writes or checks."""
    stale = []
    for page, tables in PAGES.items():
        path = ROOT / "docs" / page
        text = new = path.read_text(encoding="utf-8")
        for name, table in tables.items():
            start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
            before, _, rest = new.partition(start)
            _, found, after = rest.partition(end)
            if not found:
                raise SystemExit(f"error: docs/{page} has no place for the table {name}: {start.strip()} ... {end}")
            new = f"{before}{start}\n{table()}\n\n{end}{after}"
        if new != text:
            stale.append(page)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and stale:
        print(f"error: docs/{', docs/'.join(stale)}: not what the code says; run tools/tables.py", file=sys.stderr)
    others = [quote for quote in QUOTES if not _says(ROOT / quote.page, quote.said())]
    for quote in others:
        print(f"error: {quote.page} does not say what was measured: expected {quote.said()!r}", file=sys.stderr)
    return 1 if others or (check and stale) else 0


def _says(page: Path, text: str) -> bool:
    return text in " ".join(page.read_text(encoding="utf-8").split())


if __name__ == "__main__":
    raise SystemExit(main("--check" in sys.argv[1:]))
