"""Values: scores beside scikit-learn's, units inside the net, losses, and the way from a table to predictions."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import squares
from sklearn import metrics

from keras_resnet import InputError, ModelCard, build, cli, load_dataset, load_model
from keras_resnet.data.dataset import ArraySplit, Dataset, names_of
from keras_resnet.evaluation import predict
from keras_resnet.runtime.foreign import Hints
from keras_resnet.runtime.opening import open_named
from keras_resnet.tasks import regression
from keras_resnet.tasks.regression.settings import Facts, Settings
from keras_resnet.training import train
from keras_resnet.training.changes import override

FACTS = {"names": ["kg", "cm"], "mean": [5.0, 100.0], "scale": [2.0, 50.0], "low": [0.0, 0.0], "high": [10.0, 200.0]}
CARD = ModelCard(task="regression", facts=FACTS)


def _answers(count=150):
    rng = np.random.default_rng(0)
    truth = (rng.random((count, 2)) * (10, 200)).astype("f")
    return (truth + rng.normal(size=(count, 2)) * (1, 30)).astype("f"), truth


def test_scores_are_scikit_learns():
    found, truth = _answers()
    adding = regression.scorer(CARD)
    for rows in (slice(0, 60), slice(60, None)):
        adding.update({"values": found[rows]}, {"values": truth[rows]})
    scores = adding.result()
    for number, name in enumerate(("kg", "cm")):
        pair = truth[:, number], found[:, number]
        assert scores.mae[name] == pytest.approx(metrics.mean_absolute_error(*pair))
        assert scores.rmse[name] == pytest.approx(metrics.root_mean_squared_error(*pair))
        assert scores.r2[name] == pytest.approx(metrics.r2_score(*pair))
    relative = metrics.mean_absolute_error(truth / (10, 200), found / (10, 200))
    assert scores.value == pytest.approx(1 - relative)
    assert adding.examples.mean() == pytest.approx(scores.value) and len(adding.examples) == 150
    other = regression.scorer(dataclasses.replace(CARD, facts={**FACTS, "high": [20.0, 200.0]}))
    other.update({"values": found}, {"values": truth})
    assert other.result().value > scores.value + 0.01  # the range is the card's
    with pytest.raises(InputError, match="the dataset has 2 values, the model 1"):
        adding.update({"values": found[:, :1]}, {"values": truth})


def test_the_summary_has_intervals_and_the_error_of_the_mean():
    found, truth = _answers()
    summary = regression.summary({"values": found}, {"values": truth}, card=CARD)
    one = summary.values[0]
    assert one.mae_of_mean == pytest.approx(metrics.mean_absolute_error(truth[:, 0], np.full(150, 5.0)))
    for value, (low, high) in ((one.mae, one.mae_interval), (one.rmse, one.rmse_interval), (one.r2, one.r2_interval)):
        assert low < value < high
    spread = (
        np.abs(found - truth)[:, 0].std() / 150**0.5
    )  # of a mean, the bootstrap's interval is nearly the normal one
    assert one.mae_interval[1] - one.mae_interval[0] == pytest.approx(2 * 1.96 * spread, rel=0.1)
    json.dumps(summary.to_json(), allow_nan=False)
    same = regression.summary({"values": found}, {"values": 0 * truth + 3}, card=ModelCard(task="regression"))
    assert (same.values[0].r2, same.values[0].mae_of_mean, same.values[1].name) == (None, None, "value_1")
    json.dumps(same.to_json(), allow_nan=False)


def test_agreement_is_in_units_of_the_training_range():
    one, other = np.array([[1.0, 20.0], [5.0, 5.0]]), np.array([[2.0, 60.0], [500.0, 5.0]])
    found = regression.agreement({"values": one}, {"values": other}, CARD)
    np.testing.assert_allclose(found, [1 - (0.1 + 0.2) / 2, 0.0])


def _dataset(values):
    split = ArraySplit({"image": np.zeros((len(values), 8, 8, 3), np.uint8), "values": np.array(values, np.float32)})
    return Dataset(
        "some", ("kg", "cm")[: split.truth["values"].shape[1]], (8, 8, 3), split, split, split, truth="values"
    )


def test_facts_are_those_of_the_training_values():
    values = np.random.default_rng(0).normal((3, 700), (2, 50), (40, 2))
    found = regression.facts(_dataset(values), Settings())
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.scale, values.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose((found.low, found.high), (values.min(axis=0), values.max(axis=0)), rtol=1e-6)
    with pytest.raises(InputError, match="some: cm is the same for all training examples"):
        regression.facts(_dataset([[1, 7], [2, 7]]), Settings())


@pytest.mark.parametrize("count", [1, 2])
def test_the_saved_net_gives_units_and_the_trained_one_deviations(mini_spec, count):
    facts = Facts(**{name: tuple(values[:count]) for name, values in FACTS.items()})
    backbone = build(mini_spec, include_top=False, input_shape=(8, 8, 3))
    saved = regression.attach(backbone, facts, Settings(dropout=0.5), training=False)
    trained = regression.attach(backbone, facts, Settings(dropout=0.5), training=True)
    trained.get_layer("predictions").set_weights(saved.get_layer("predictions").get_weights())
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("f")
    values, deviations = saved(images).numpy(), trained(images, training=False).numpy()
    np.testing.assert_allclose(values, deviations * FACTS["scale"][:count] + FACTS["mean"][:count], rtol=1e-5)
    np.testing.assert_allclose(regression.encode({"values": values}, facts, Settings()), deviations, atol=1e-5)
    keras.Model.save(saved, "m.keras")
    np.testing.assert_allclose(keras.models.load_model("m.keras")(images), values, rtol=1e-6)
    assert {layer.name for layer in trained.layers} - {layer.name for layer in saved.layers} == {"dropout"}


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        (Settings(huber_delta=0.5), lambda d: np.where(d <= 0.5, d**2 / 2, 0.5 * d - 0.125)),
        (Settings(loss="squared"), np.square),
        (Settings(loss="absolute"), np.abs),
    ],
)
def test_losses_are_their_formulas(settings, formula):
    one, other = np.random.default_rng(0).normal(size=(2, 20, 2)).astype("f")
    found = regression.objectives(Facts(), settings)
    assert float(found.loss(one, other)) == pytest.approx(formula(np.abs(one - other)).mean(), rel=1e-5)
    assert not found.larger_is_better


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loss=binary", "unknown loss 'binary'"),
        ("huber_delta=0", "huber_delta=0.0, expected more than 0"),
        ("label_smoothing=0.1", "unknown recipe setting"),
    ],
)
def test_settings_are_checked(setting, said):
    with pytest.raises(InputError, match=said):
        override(squares.recipe(Path(), "regression"), [setting])
    with pytest.raises(InputError, match="huber_delta goes with loss=huber, not squared"):
        override(squares.recipe(Path(), "regression"), ["loss=squared", "huber_delta=2"])


@pytest.fixture
def run(made_once, mini_spec, monkeypatch):
    from keras_resnet.nets.specs import SPECS

    monkeypatch.setitem(SPECS, "mini", mini_spec)
    return squares.trained(made_once, mini_spec, "regression")


@pytest.mark.slow
def test_a_table_of_values_is_learned_and_told_in_units(run, capsys):
    folder, path = run
    model, card = load_model(path / "model.keras")
    assert (card.task, card.labels, card.facts["names"]) == ("regression", ("light",), ["light"])
    options = ["--model", str(path / "model.keras"), "--data", str(folder / "values.csv")]
    assert cli.main(["evaluate", *options, "--json", "e.json", "--report", "e.html"]) == 0
    said = capsys.readouterr().out
    assert "of the error of always the training mean" in said and "95 % interval" in said
    assert "Answers over the truth" in Path("e.html").read_text()
    found = json.loads(Path("e.json").read_text())
    dataset = load_dataset(folder / "values.csv", image_shape=(16, 16, 3))
    test = dataset.test.fetch(range(len(dataset.test)))
    values = model.predict(card.preprocess(test["image"]), verbose=0)
    assert found["mae"]["light"] == pytest.approx(metrics.mean_absolute_error(test["values"], values), rel=1e-4)
    assert found["mae"]["light"] < 0.5 * found["values"][0]["mae_of_mean"]
    training = dataset.train.truth["values"]
    assert card.facts["mean"] == pytest.approx(training.mean(axis=0), rel=1e-6)
    assert values.min() > 1000 and values.max() < 3500  # as the table has them


@pytest.mark.slow
def test_values_are_predicted_and_explained(run):
    folder, path = run
    runner = open_named(path / "model.keras")
    files = names_of(load_dataset(folder / "values.csv", image_shape=(16, 16, 3)).test)[:3]
    found = predict(runner, files)
    assert [list(each.to_json()["values"]) for each in found] == [["light"]] * 3
    assert found[0].rows()[0] == ("value", "prediction")
    titles = [axes.get_title() for axes in regression.draw(np.zeros((3, 16, 16, 3), np.uint8), found, runner.card).axes]
    assert titles == [f"light {each.values['light']:.4g}" for each in found]
    why = ["explain", "--model", str(path / "model.keras"), *files[:2], "-o", "why.png", "--json", "why.json"]
    assert cli.main(why) == 0
    (row,) = json.loads(Path("why.json").read_text())[0]["classes"]
    assert row["label"] == "light" and row["probability"] == pytest.approx(found[0].values["light"], rel=1e-5)
    assert cli.main([*why, "--overwrite", "--class", "lihgt"]) == 2
    embeddings = ["explain", "--model", str(path / "model.keras"), "--embeddings", "-o", "e.html"]
    assert cli.main([*embeddings, "--data", str(folder / "values.csv")]) == 2


@pytest.mark.slow
def test_what_values_do_not_support_is_refused(run, tmp_path):
    recipe = squares.recipe(run[0], "regression")
    for setting, said in (
        ("mixup=0.2", "does not support mixing"),
        ("distillation=0.5", "does not support distillation"),
    ):
        with pytest.raises(InputError, match=f"task regression {said}"):
            train(override(recipe, [setting]), run_dir=tmp_path / "x", verbose=False)


def test_answers_of_several_are_their_mean():
    one, other = {"values": np.array([[1.0, 4.0]], "f")}, {"values": np.array([[3.0, 8.0]], "f")}
    np.testing.assert_allclose(regression.merge([one, other], [1, 3])["values"], [[2.5, 7.0]])
    with pytest.raises(InputError, match="values have no logits"):
        regression.merge([one, other], average="logits")


def test_models_from_elsewhere(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "m.keras")
    runner = open_named(tmp_path / "m.keras", hints=Hints(task="regression"))
    images = np.random.default_rng(0).random((2, 16, 16, 3)).astype("f")
    (found, _) = regression.decode(runner(images), runner.card)
    assert list(found.values) == ["value_0", "value_1"]
    np.testing.assert_allclose(list(found.values.values()), keras.models.load_model(tmp_path / "m.keras")(images)[0])
    with pytest.raises(InputError, match="--logits goes with classes"):
        open_named(tmp_path / "m.keras", hints=Hints(task="regression", logits=True))
    keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)).save(tmp_path / "maps.keras")
    with pytest.raises(InputError, match=r"gives \(None, 14, 14, 4\): expected \(batch, values\)"):
        open_named(tmp_path / "maps.keras", hints=Hints(task="regression"))
