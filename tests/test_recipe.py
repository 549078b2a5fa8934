"""Recipes: groups, one name for every setting, versions of recipe.json, heads of other tasks."""

import dataclasses
import json
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from keras_resnet import InputError, ranges
from keras_resnet.tasks import TASKS, Score, Task
from keras_resnet.training import RECIPES, override
from keras_resnet.training import recipe as recipe_lib
from keras_resnet.training.groups import GROUPS
from keras_resnet.training.recipe import Recipe, loads

OLD = Path(__file__).parent / "fixtures" / "classification" / "recipe.json"
ROW = RECIPES["digits-resnet8"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    momentum: float = ranges.rate(0.5)  # a name that the group `optimization` has too
    depth: int = ranges.positive(1)


@pytest.fixture
def other(monkeypatch):
    """A task whose head has settings of its own."""
    module = types.ModuleType("other_task")
    module.Settings = Settings
    monkeypatch.setitem(__import__("sys").modules, "other_task", module)
    monkeypatch.setitem(
        TASKS, "other", Task(name="other", summary="", truth="label", score=Score("x", "x"), module="other_task")
    )
    return Recipe(name="o", task="other", model="resnet8", dataset="digits", preprocess="tf", epochs=1)


def test_every_setting_has_one_name_and_a_group():
    settings = ROW.settings()
    assert (ROW.epochs, ROW.rate.epochs, settings["epochs"]) == (24, 24, 24)
    assert (ROW.loss, ROW.head.loss) == ("cross-entropy", "cross-entropy")
    fields = [f.name for kind in (*GROUPS.values(), type(ROW.head)) for f in dataclasses.fields(kind)]
    assert sorted(settings) == sorted(fields)
    with pytest.raises(AttributeError, match="no setting colour"):
        ROW.colour  # noqa: B018


def test_scripts_get_groups_or_the_settings_flat():
    groups = dataclasses.asdict(ROW)
    assert groups["rate"]["epochs"] == ROW.settings()["epochs"] == 24
    assert "epochs" not in groups


def test_replace_takes_settings_and_whole_groups():
    assert dataclasses.replace(ROW, epochs=3, dropout=0.5) == override(ROW, ["epochs=3", "head.dropout=0.5"])
    rate = dataclasses.replace(ROW.rate, epochs=3)
    assert dataclasses.replace(ROW, rate=rate).epochs == 3
    with pytest.raises(TypeError, match="unknown setting 'colour'"):
        dataclasses.replace(ROW, colour=1)
    with pytest.raises(InputError, match="recipe digits-resnet8: epochs=0, expected more than 0"):
        dataclasses.replace(ROW, rate=dataclasses.replace(ROW.rate, epochs=0))


def test_an_old_recipe_is_read_and_its_keys_are_still_written():
    old = json.loads(OLD.read_text())
    recipe = loads(OLD.read_text(), "old")
    assert recipe == dataclasses.replace(ROW, epochs=2, command=recipe.command)
    new = json.loads(recipe.dumps())
    assert {key: new[key] for key in old} == old
    assert (new["version"], new["task"]) == (recipe_lib.VERSION, "classification")


def test_settings_younger_than_a_file_mean_what_was_done_before_them(monkeypatch):
    """Whoever adds a setting adds the value that keeps old runs as they were."""
    first = set(json.loads(OLD.read_text()))
    added = {name for values in recipe_lib.ADDED.values() for name in values}
    assert set(ROW.to_json()) == first | added
    monkeypatch.setitem(recipe_lib.ADDED, 2, {"task": "classification", "clip_norm": 7.0})
    text = json.loads(OLD.read_text())
    del text["clip_norm"]
    assert loads(json.dumps(text), "old").clip_norm == 7.0
    assert loads(json.dumps({**text, "version": 2, "task": "classification"}), "new").clip_norm == 0.0


def test_a_newer_recipe_is_read_unless_it_has_unknown_settings(capsys):
    values = {**json.loads(ROW.dumps()), "version": 99}
    assert loads(json.dumps(values), "run/recipe.json") == ROW
    assert "note: run/recipe.json is of version 99" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"recipe.json \(version 99, this is 7\) has settings .* know: 'colour', 'x"):
        loads(json.dumps({**values, "colour": 1, "x\x1b": 2}), "run/recipe.json")


def _refusal(values):
    with pytest.raises(InputError) as caught:
        loads(json.dumps(values), "r.json")
    return str(caught.value)


def test_only_a_newer_recipe_asks_for_an_update():
    now = json.loads(ROW.dumps())
    assert _refusal({**now, "colour": 1, "x\x1b": 2}) == "r.json has settings that no recipe has: 'colour', 'x\\x1b'"
    assert _refusal({**now, "version": 1, "colour": 1}) == "r.json has settings that no recipe has: 'colour'"
    assert "update keras-resnet-toolkit" in _refusal({**now, "version": recipe_lib.VERSION + 1, "colour": 1})


def test_a_setting_of_another_tasks_head_names_the_task(other):
    now = json.loads(other.dumps())
    assert _refusal({**now, "label_smoothing": 0.1}) == "r.json: task other has no setting label_smoothing"
    assert _refusal({**json.loads(ROW.dumps()), "depth": 1}) == "r.json: task classification has no setting depth"
    assert "momentum is optimization.momentum and head.momentum" in _refusal({**now, "momentum": 0.1})


@pytest.mark.parametrize("name", ["name", "task", "model"])
def test_what_a_recipe_lacks_is_named(name):
    values = json.loads(ROW.dumps())
    del values[name]
    assert _refusal(values) == f"r.json is no recipe: it lacks {name}"


def test_two_settings_of_one_name_are_both_listed(other):
    with pytest.raises(InputError, match="--set momentum: momentum is optimization.momentum and head.momentum"):
        override(other, ["momentum=0.1"])
    changed = override(other, ["head.momentum=0.1", "optimization.momentum=0.2", "depth=3"])
    assert (changed.head.momentum, changed.optimization.momentum, changed.depth) == (0.1, 0.2, 3)
    assert loads(changed.dumps(), "here") == changed
    with pytest.raises(AttributeError, match="optimization.momentum and head.momentum"):
        changed.momentum  # noqa: B018


def test_a_head_of_another_task_is_refused(other):
    with pytest.raises(
        InputError, match="recipe o: head is a .*classification.settings.Settings, and task other expects"
    ):
        dataclasses.replace(other, head=ROW.head)
    with pytest.raises(InputError, match="unknown task 'othr': did you mean other"):
        dataclasses.replace(other, task="othr")
    with pytest.raises(InputError, match="unknown recipe setting 'loss'"):
        override(other, ["loss=binary"])
    with pytest.raises(InputError, match="recipe o: depth=0, expected more than 0"):
        override(other, ["depth=0"])
