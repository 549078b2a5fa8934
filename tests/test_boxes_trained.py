"""A detector from its data to its answers, in the smallest form that learns something."""

import csv
import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet import InputError
from keras_resnet.data import load_dataset
from keras_resnet.data.dataset import ArraySplit, EncodedSplit
from keras_resnet.training import RECIPES, inputs, nets
from keras_resnet.training.changes import override


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe = override(RECIPES["digits-scenes"], ["subset=32", "epochs=2", "width=16", "warmup_epochs=0"])
    return keras_resnet.train(recipe, run_dir=tmp_path_factory.mktemp("runs") / "one", verbose=False)


@pytest.mark.slow
def test_the_ap_of_the_validation_is_watched(run):
    with (run.run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"loss", "val_loss", "val_ap"} <= rows[0].keys()
    assert all(np.isfinite(float(row["loss"])) and 0 <= float(row["val_ap"]) <= 1 for row in rows)
    assert run.metric == "ap"
    assert run.validation == pytest.approx(float(rows[run.best_epoch - 1]["val_ap"]), abs=1e-6)


@pytest.mark.proof
def test_the_saved_net_is_plain_keras_with_raw_outputs(run):
    net = keras.models.load_model(run.run_dir / "model.keras")
    assert sorted(net.output) == ["boxes_16", "boxes_32", "boxes_8", "scores_16", "scores_32", "scores_8"]
    assert {type(layer).__module__.partition(".")[0] for layer in net.layers} == {"keras"}


@pytest.mark.proof
def test_answers_to_files_are_in_their_pixels(run, tmp_path):
    scene = load_dataset("digits-scenes").test.fetch([3])["image"][0]
    large = tmp_path / "large.png"
    Image.fromarray(scene).resize((288, 192), Image.Resampling.BILINEAR).save(large)
    card = keras_resnet.load_model(run.run_dir / "model.keras")[1]
    everything = dataclasses.replace(card, facts={**card.facts, "threshold": 0.0, "most": 5})
    model = tmp_path / "all.keras"
    keras_resnet.save_model(keras.models.load_model(run.run_dir / "model.keras"), model, everything)
    of_file, of_array = keras_resnet.predict(model, [large])[0], keras_resnet.predict(model, [scene])[0]
    assert (of_file.size, of_array.size) == ((192, 288), (96, 96))
    assert len(of_file) == len(of_array) == 5
    scaled = of_array.boxes * np.array([3, 2, 3, 2])
    order, other = (np.lexsort(boxes.T) for boxes in (scaled.round(-1), of_file.boxes.round(-1)))
    np.testing.assert_allclose(scaled[order], of_file.boxes[other], atol=12)


@pytest.mark.proof
def test_the_figures_are_those_of_the_scorer(run):
    found = keras_resnet.evaluate(run, load_dataset("digits-scenes"))
    assert 0 <= found.ap <= found.ap50 <= 1
    assert found.count == 200 and found.objects > 400


@pytest.mark.slow
def test_decoded_once_is_what_is_decoded_every_time(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["file,class,x1,y1,x2,y2,split"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},{number},2,{number + 20},30,{'train' if number < 8 else 'val'}")
    lines += [f"{number}.png,a,1,1,9,9,test" for number in (12,)]
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / "12.png")
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join(lines) + "\n")
    usual = [
        f"dataset={table}",
        "image_size=32",
        "image_width=64",
        "batch_size=4",
        "model=resnet10t",
        "augmentation=none",
    ]
    recipe = override(RECIPES["bccd"], [*usual, "decode_once=false"])
    kept = override(RECIPES["bccd"], [*usual, "decode_once=true"])
    read, held = (inputs.load(each, nets.FromRecipe(), None).dataset for each in (recipe, kept))
    assert isinstance(read.train, EncodedSplit) and isinstance(held.train, ArraySplit)
    assert isinstance(held.validation, ArraySplit) and held.classes == read.classes
    places = np.arange(len(read.train))
    for name, values in read.train.fetch(places).items():
        np.testing.assert_array_equal(values, held.train.fetch(places)[name])
    for wrong, said in (
        (["augmentation=objects"], "cuts out of encoded images"),
        (["test_size=64", "test_width=96"], "one size"),
    ):
        with pytest.raises(InputError, match=said):
            inputs.load(override(kept, wrong), nets.FromRecipe(), None)
