"""Tags: scores beside scikit-learn's, thresholds, losses beside NumPy, and the way from a table to predictions."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import squares
import tensorflow as tf
from sklearn import metrics

from keras_resnet import InputError, ModelCard, cli, load_dataset, load_model, save_model
from keras_resnet.data.dataset import names_of
from keras_resnet.evaluation import predict
from keras_resnet.runtime.foreign import Hints
from keras_resnet.runtime.opening import open_named
from keras_resnet.tasks import get_task, multilabel
from keras_resnet.tasks.multilabel import thresholds
from keras_resnet.tasks.multilabel.scores import average_precisions, f1
from keras_resnet.tasks.multilabel.settings import Facts, Settings
from keras_resnet.training import train
from keras_resnet.training.changes import override
from keras_resnet.training.recipe import loads

TASK = get_task("multilabel")


def _answers(count=200, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    tags = (rng.random((count, 4)) < (0.7, 0.3, 0.1, 0.5)).astype(np.uint8)
    found = (0.5 * tags + rng.random((count, 4))) / 1.5
    return (np.round(found * 8) / 8 if ties else found).astype(np.float32), tags


# ---- figures


@pytest.mark.parametrize("ties", [False, True])
def test_scores_are_scikit_learns(ties):
    probabilities, tags = _answers(ties=ties)
    limits = np.array([0.5, 0.6, 0.3, 0.5])
    card = ModelCard(task="multilabel", facts={"classes": 4, "thresholds": limits.tolist()})
    adding = multilabel.scorer(card)
    for rows in (slice(0, 90), slice(90, 200)):
        adding.update({"probabilities": probabilities[rows]}, {"tags": tags[rows]})
    found = adding.result()
    called = probabilities >= limits
    assert found.map == pytest.approx(metrics.average_precision_score(tags, probabilities, average="macro"))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(tags, called, average="macro"))
    assert found.micro_f1 == pytest.approx(metrics.f1_score(tags, called, average="micro"))
    assert found.auc == pytest.approx(metrics.roc_auc_score(tags, probabilities, average="macro"))
    each = metrics.average_precision_score(tags, probabilities, average=None)
    np.testing.assert_allclose(average_precisions(probabilities, tags), each)
    assert found.map != pytest.approx(metrics.average_precision_score(tags, probabilities[::-1]), abs=0.05)
    drawn = np.random.default_rng(1).integers(0, 200, 200)
    expected = metrics.average_precision_score(tags[drawn], probabilities[drawn], average="macro")
    assert adding.drawn(drawn) == pytest.approx(expected)


def test_tags_that_nothing_or_everything_has_count_where_they_are_defined():
    probabilities, tags = _answers()
    tags[:, 1], tags[:, 2] = 0, 1
    card = ModelCard(task="multilabel", facts={"classes": 4})
    adding = multilabel.scorer(card)
    adding.update({"probabilities": probabilities}, {"tags": tags})
    known = [0, 2, 3]
    found = adding.result()
    assert found.map == pytest.approx(metrics.average_precision_score(tags[:, known], probabilities[:, known]))
    assert found.auc == pytest.approx(metrics.roc_auc_score(tags[:, [0, 3]], probabilities[:, [0, 3]]))
    summary = multilabel.summary({"probabilities": probabilities}, {"tags": tags}, labels="abcd", card=card)
    assert [each.average_precision is None for each in summary.tags] == [False, True, False, False]
    json.dumps(summary.to_json(), allow_nan=False)
    nothing = multilabel.summary({"probabilities": probabilities}, {"tags": 0 * tags}, card=card)
    assert (nothing.scores.map, nothing.scores.auc, nothing.frequency_map) == (0.0, None, 0.0)
    with pytest.raises(InputError, match="the dataset has 3 tags, the model 4"):
        multilabel.summary({"probabilities": probabilities}, {"tags": tags[:, :3]}, card=card)


def test_the_summary_has_an_interval_and_the_figure_of_frequencies():
    probabilities, tags = _answers()
    found = multilabel.summary({"probabilities": probabilities}, {"tags": tags}, labels="abcd")
    constant = np.tile(tags.mean(axis=0), (len(tags), 1))
    assert found.frequency_map == pytest.approx(metrics.average_precision_score(tags, constant, average="macro"))
    low, high = found.interval
    assert low < found.scores.map < high and high - low < 0.2
    report = metrics.classification_report(tags, probabilities >= 0.5, output_dict=True, zero_division=0)
    for number, each in enumerate(found.tags):
        row = report[str(number)]
        assert (each.count, each.precision, each.recall, each.f1) == (
            row["support"], *(pytest.approx(row[name]) for name in ("precision", "recall", "f1-score"))
        )  # fmt: skip
    assert any("one half" in note for note in found.notes())


def test_thresholds_have_the_largest_f1():
    probabilities, tags = _answers(100)
    found = thresholds.chosen(probabilities, tags)
    for number in range(4):
        scores, truth = probabilities[:, number], tags[:, number]
        best = max(metrics.f1_score(truth, scores >= limit) for limit in np.linspace(0.05, 0.95, 15))
        assert metrics.f1_score(truth, scores >= found[number]) >= best
    halves = f1(probabilities >= 0.5, tags)
    assert (f1(probabilities >= found, tags) >= halves).all() and (f1(probabilities >= found, tags) > halves).any()


def test_thresholds_of_rare_tags_are_shared_and_none_without_examples():
    probabilities, tags = _answers(400)
    tags[:, 2] = 0
    tags[:4, 2] = 1
    found = thresholds.chosen(probabilities, tags)
    (together,) = thresholds.chosen(probabilities.reshape(-1, 1), tags.reshape(-1, 1))
    assert found[2] == together and found[0] != together
    assert thresholds.chosen(probabilities, 0 * tags).tolist() == [0.5] * 4
    assert thresholds.chosen(np.zeros((20, 1), np.float32), np.ones((20, 1), np.uint8)) == [0.02]
    facts = multilabel.settled({"probabilities": probabilities}, {"tags": tags}, Facts(classes=4))
    assert facts.thresholds == tuple(found.round(4))


def test_agreement_is_the_share_of_equal_tags():
    card = ModelCard(task="multilabel", facts={"classes": 2, "thresholds": [0.2, 0.8]})
    one, other = np.array([[0.3, 0.7], [0.1, 0.9]]), np.array([[0.9, 0.1], [0.3, 0.7]])
    assert multilabel.agreement({"probabilities": one}, {"probabilities": other}, card).tolist() == [1.0, 0.0]


# ---- losses


@pytest.mark.parametrize("loss", ["binary", "focal"])
@pytest.mark.parametrize("weights", [(), (3.0, 0.5)])
def test_losses_are_their_formulas(loss, weights):
    rng = np.random.default_rng(0)
    targets, logits = rng.integers(0, 2, (6, 2)).astype("f"), rng.normal(size=(6, 2)).astype("f")
    settings = Settings(loss=loss, label_smoothing=0.1, focal_gamma=2.0)
    found = multilabel.objectives(Facts(classes=2, weights=weights), settings).loss(targets, logits)
    smooth, p = targets * 0.9 + 0.05, 1 / (1 + np.exp(-logits))
    each = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p))
    if loss == "focal":
        each *= (1 - (smooth * p + (1 - smooth) * (1 - p))) ** 2
    if weights:
        each *= np.where(targets > 0, weights, 1)
    np.testing.assert_allclose(np.asarray(found), each.mean(axis=1), rtol=1e-5)


def test_rare_tags_weigh_as_much_as_they_lack(tmp_path):
    squares.make(tmp_path, 60)
    dataset = load_dataset(tmp_path / "tags.csv", image_shape=(16, 16, 3))
    tags = dataset.train.truth["tags"]
    found = multilabel.facts(dataset, Settings(class_weights=True))
    np.testing.assert_allclose(found.weights, (1 - tags.mean(axis=0)) / tags.mean(axis=0))
    assert multilabel.facts(dataset, Settings()).weights == ()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loss=huber", "unknown loss 'huber'"),
        ("focal_gamma=1", "focal_gamma goes with loss=focal, not binary"),
        ("label_smoothing=1", "label_smoothing=1.0, expected 0 up to below 1"),
        ("target_threshold=0.5", "unknown recipe setting"),
    ],
)
def test_settings_are_checked(setting, said):
    with pytest.raises(InputError, match=said):
        override(squares.recipe(Path(), "multilabel"), [setting])


# ---- from a table to predictions


@pytest.fixture
def run(made_once, mini_spec, monkeypatch):
    from keras_resnet.nets.specs import SPECS

    monkeypatch.setitem(SPECS, "mini", mini_spec)
    return squares.trained(made_once, mini_spec, "multilabel")


@pytest.mark.slow
def test_a_table_of_tags_is_learned_and_its_thresholds_are_in_the_card(run, capsys):
    folder, path = run
    model, card = load_model(path / "model.keras")
    assert (card.task, card.labels) == ("multilabel", ("blue", "green", "red"))
    dataset = load_dataset(folder / "tags.csv", image_shape=(16, 16, 3))
    held = dataset.validation.fetch(range(len(dataset.validation)))
    said = model.predict(card.preprocess(held["image"]), verbose=0)
    np.testing.assert_allclose(card.facts["thresholds"], thresholds.chosen(said, held["tags"]), atol=2e-4)
    assert set(card.facts) == {"classes", "thresholds"}
    result = json.loads((path / "result.json").read_text())
    assert result["validation_mean_average_precision"] > 0.8
    options = ["--model", str(path / "model.keras"), "--data", str(folder / "tags.csv")]
    assert cli.main(["evaluate", *options, "--json", "e.json", "--report", "e.html"]) == 0
    assert "always the same answer for every image: mAP" in capsys.readouterr().out
    assert "precision" in Path("e.html").read_text()
    found = json.loads(Path("e.json").read_text())
    test = dataset.test.fetch(range(len(dataset.test)))
    said = model.predict(card.preprocess(test["image"]), verbose=0)
    assert found["map"] == pytest.approx(metrics.average_precision_score(test["tags"], said), abs=1e-6)
    assert found["map"] > found["map_of_frequencies"] + 0.2
    called = said >= card.facts["thresholds"]
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(test["tags"], called, average="macro"), abs=1e-6)


@pytest.mark.proof
def test_tags_of_views_and_of_corrupted_images(run):
    folder, path = run
    options = ["--model", str(path / "model.keras"), "--data", str(folder / "tags.csv"), "--json", "f.json"]
    assert cli.main(["evaluate", *options, "--flip", "--corruptions", "contrast"]) == 0
    assert len(json.loads(Path("f.json").read_text())["robustness"]["contrast"]) == 5
    ensemble = [*options[2:], "--ensemble", options[1], options[1]]
    assert cli.main(["evaluate", *ensemble]) == 0
    assert len(json.loads(Path("f.json").read_text())["members"]) == 2


@pytest.mark.slow
def test_tags_are_predicted_and_explained(run):
    folder, path = run
    runner = open_named(path / "model.keras")
    files = names_of(load_dataset(folder / "tags.csv", image_shape=(16, 16, 3)).test)[:8]
    found = predict(runner, files, top=2)
    for each in found:
        above = [name for name, p, limit in each.top if p >= limit]
        assert list(each.tags)[: len(above)] == above and len(each.top) == 2
        assert each.to_json()["tags"] == list(each.tags)
    everything = predict(runner, files, top=3)
    assert [len(each.top) for each in everything] == [3] * 8
    assert [[n for n, p, limit in each.top if p >= limit] for each in everything] == [list(e.tags) for e in found]
    draw = multilabel.draw(np.zeros((8, 16, 16, 3), np.uint8), found, runner.card)
    assert [axes.get_title() for axes in draw.axes[:8]] == [", ".join(each.tags) or "none" for each in found]
    why = ["explain", "--model", str(path / "model.keras"), *files[:2], "-o", "why.png", "--json", "why.json"]
    assert cli.main([*why, "--class", "red"]) == 0
    (one, _) = json.loads(Path("why.json").read_text())
    (row,) = one["classes"]
    assert row["label"] == "red"
    assert row["probability"] == pytest.approx(next(p for name, p, _ in everything[0].top if name == "red"), abs=1e-5)


@pytest.mark.proof
def test_thresholds_are_chosen_where_something_is_held_out(run, tmp_path):
    folder, path = run
    recipe = loads((path / "recipe.json").read_bytes(), "recipe.json")
    short = dataclasses.replace(recipe, epochs=2, subset=64)
    train(short, run_dir=tmp_path / "whole", verbose=False)
    whole = load_model(tmp_path / "whole/model.keras")[1]
    assert whole.facts["thresholds"]
    on_all = dataclasses.replace(short, hold_out=False, keep="last")
    train(on_all, run_dir=tmp_path / "all", verbose=False)
    assert load_model(tmp_path / "all/model.keras")[1].facts["thresholds"] == []  # nothing to choose on


@pytest.mark.slow
def test_another_task_than_the_datas_is_refused_before_there_is_a_run(run, tmp_path):
    recipe = squares.recipe(run[0], "multilabel")
    with pytest.raises(InputError, match="task multilabel learns from tags; digits has label, of task classification"):
        train(dataclasses.replace(recipe, dataset="digits", image_size=0), run_dir=tmp_path / "x", verbose=False)
    with pytest.raises(InputError, match="has no column labels, which task multilabel needs"):
        train(dataclasses.replace(recipe, dataset=str(run[0] / "values.csv")), run_dir=tmp_path / "x", verbose=False)
    with pytest.raises(InputError, match="task multilabel does not support distillation"):
        train(override(recipe, ["distillation=0.5"]), run_dir=tmp_path / "x", verbose=False)
    assert not (tmp_path / "x").exists()


def test_answers_of_several_are_one():
    one, other = {"probabilities": np.array([[0.2, 0.8]], "f")}, {"probabilities": np.array([[0.6, 0.4]], "f")}
    np.testing.assert_allclose(multilabel.merge([one, other], [3, 1])["probabilities"], [[0.3, 0.7]], rtol=1e-6)
    logit = np.log([[0.2 / 0.8 * 0.6 / 0.4, 0.8 / 0.2 * 0.4 / 0.6]]) / 2
    found = multilabel.merge([one, other], average="logits")["probabilities"]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logit)), rtol=1e-5)
    logits = {"probabilities": np.array([[-2.0, 3.0]], "f")}
    assert multilabel.gives_logits(logits) and not multilabel.gives_logits(one)
    np.testing.assert_allclose(multilabel.merge([logits])["probabilities"], 1 / (1 + np.exp([[2.0, -3.0]])), rtol=1e-5)
    with pytest.raises(InputError, match="expected the same"):
        multilabel.merge([one, {"probabilities": np.zeros((1, 3), "f")}])


# ---- models from elsewhere


def _foreign(path, activation, units=3):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(units, activation=activation)(x)).save(path)
    return path


def test_several_sigmoids_without_a_card_need_a_word(tmp_path):
    path = _foreign(tmp_path / "m.keras", "sigmoid")
    with pytest.raises(
        InputError, match="ends in 3 sigmoids and has no card: say what they mean with --task multilabel"
    ):
        open_named(path)
    assert open_named(path, hints=Hints(task="multilabel")).card.task == "multilabel"
    assert open_named(path, hints=Hints(task="classification")).card.task == "classification"
    with pytest.raises(InputError, match="unknown task 'multilable': did you mean multilabel"):
        open_named(path, hints=Hints(task="multilable"))
    assert open_named(_foreign(tmp_path / "s.keras", "softmax")).card.task == "classification"
    assert open_named(_foreign(tmp_path / "one.keras", "sigmoid", 1)).card.task == "classification"


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "refused"), [("sigmoid", True), ("softmax", False)])
def test_several_sigmoids_of_a_foreign_file_need_a_word(tmp_path, activation, refused):
    """A TFLite file by its converter, and an ONNX file of nodes: neither has a card."""
    model = keras.models.load_model(_foreign(tmp_path / "m.keras", activation))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (tmp_path / "m.tflite").write_bytes(converter.convert())
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    end = "Sigmoid" if refused else "Softmax"
    nodes = [node("ReduceMean", ["x"], ["m"], axes=[1, 2], keepdims=0), node(end, ["m"], ["s"])]
    pixels, values = info("x", 1, ["n", 16, 16, 3]), info("y", 1, ["n", 3])
    graph = onnx.helper.make_graph([*nodes, node("Identity", ["s"], ["y"])], "g", [pixels], [values])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, tmp_path / "m.onnx")
    for path in (tmp_path / "m.tflite", tmp_path / "m.onnx"):
        assert open_named(path, hints=Hints(task="multilabel")).card.task == "multilabel"
        if refused:
            with pytest.raises(InputError, match="ends in 3 sigmoids and has no card: say what they mean with --task"):
                open_named(path)
        else:
            assert open_named(path).card.task == "classification"


def test_foreign_endings_become_probabilities_or_are_refused(tmp_path):
    path = _foreign(tmp_path / "m.keras", None)
    plain = open_named(path, hints=Hints(task="classification"))
    images = np.random.default_rng(0).random((2, 16, 16, 3)).astype("f")
    found = open_named(path, hints=Hints(task="multilabel"))(images)
    logits = keras.models.load_model(path).predict(images, verbose=0)
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert plain(images)["probabilities"].sum(axis=1) == pytest.approx([1, 1])
    with pytest.raises(InputError, match="ends in a softmax, one class of many: expected sigmoids"):
        open_named(_foreign(tmp_path / "s.keras", "softmax"), hints=Hints(task="multilabel"))


def test_a_card_knows_better_than_a_person(tmp_path):
    model = keras.models.load_model(_foreign(tmp_path / "m.keras", "sigmoid"))
    save_model(model, tmp_path / "own.keras", ModelCard(task="multilabel", facts={"classes": 3}))
    assert open_named(tmp_path / "own.keras").card.task == "multilabel"
    with pytest.raises(InputError, match="--task regression: the card of .* says multilabel; leave the option out"):
        open_named(tmp_path / "own.keras", hints=Hints(task="regression"))
