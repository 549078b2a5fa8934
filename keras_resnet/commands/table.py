"""The table of commands of `keras_resnet`."""

from __future__ import annotations

from keras_resnet.program import Command


def _command(name: str, summary: str, module: str, *, former: bool = False) -> Command:
    return Command(name=name, summary=summary, module=f"keras_resnet.{module}", former=former)


COMMANDS: tuple[Command, ...] = (
    _command("train", "train on your own data, or by a recipe", "commands.train"),
    _command("evaluate", "figures on test data, with intervals, and a page", "evaluation.command"),
    _command("predict", "answers for photos, folders and lists of them", "commands.predict"),
    _command("explain", "what a net looks at: heat maps, filters, features", "explain.command"),
    _command("report", "compare trainings in one page", "commands.report"),
    _command("data", "look at data before a training: classes, sizes, duplicates", "commands.data"),
    _command("prepare", "write data as TFRecord files, for large sets", "commands.prepare"),
    _command("recipes", "list recipes, or every setting of one", "commands.recipes"),
    _command("models", "list nets, or the exact size of some", "commands.models"),
    _command("weights", "list registered and published weights", "commands.weights"),
    _command("lab", "repeat the papers' experiments in small", "lab.command"),
    _command("completion", "print completion for a shell", "commands.completion"),
    _command("finetune", "train from weights: train --weights", "commands.finetune", former=True),
)
