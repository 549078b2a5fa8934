"""`keras-resnet recipes`: what can be trained, and every setting of it."""

from __future__ import annotations

import argparse

from keras_resnet import console
from keras_resnet.parsing import Parser
from keras_resnet.training.recipes import RECIPES, get_recipe


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="recipe whose settings are shown")
    console.add_json(parser, "the table")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    from keras_resnet.training.describe import described

    if args.name is None:
        rows = [(row.name, row.model, row.dataset or "your own", row.epochs, row.wall_time) for row in RECIPES.values()]
        columns = ("name", "net", "data", "epochs", "time")
        console.write_json(args.json, [dict(zip(columns, row, strict=True)) for row in rows])
        console.print_table("Recipes", columns, rows)
        print("every setting of one: keras-resnet recipes NAME; train by it: keras-resnet train --recipe NAME")
        return console.OK
    recipe = get_recipe(args.name)
    settings = described(recipe)
    console.write_json(args.json, {"name": recipe.name, "settings": [each.to_json() for each in settings]})
    table = [(each.name, each.text, each.range, each.meaning) for each in settings]
    console.print_table(f"Settings of {recipe.name}", ("setting", "value", "range", "meaning"), table)
    for name in ("expected", "hardware", "wall_time", "command"):
        if value := getattr(recipe, name):
            print(f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}")
    data = "" if recipe.dataset else " --data PHOTOS"
    print(f"change one: keras-resnet train --recipe {recipe.name}{data} --set NAME=VALUE")
    return console.OK
