"""Whatever is written comes back: cards, recipes and weights, for values that hypothesis thinks of."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_resnet import ModelCard, Preprocess, build, card, load_weights, save_weights
from keras_resnet.training import RECIPES, override, recipes
from keras_resnet.weights import weights_card

# Deterministic, and without a clock: the same cases in every run, whatever the machine.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("repeatable")

TEXT = st.text(max_size=40)
LEVELS = st.floats(min_value=-1e6, max_value=1e6)
PREPROCESS = st.builds(
    Preprocess,
    mean=st.one_of(st.tuples(LEVELS), st.tuples(LEVELS, LEVELS, LEVELS)),
    std=st.one_of(st.tuples(st.floats(1e-3, 1e6)), st.tuples(*[st.floats(1e-3, 1e6)] * 3)),
    channels=st.sampled_from(["rgb", "bgr"]),
)
LEAVES = st.none() | st.booleans() | st.floats() | TEXT
CARDS = st.builds(
    ModelCard,
    labels=st.lists(TEXT, max_size=20).map(tuple),
    preprocess=PREPROCESS,
    spec=st.none() | TEXT,
    dataset=st.none() | TEXT,
    recipe=st.none() | TEXT,
    crop=st.floats(min_value=0, max_value=1, exclude_min=True),
    held_out=st.none() | st.booleans(),
    sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
)


@pytest.mark.slow
@settings(max_examples=20)
@given(CARDS)
def test_cards_come_back_from_text(written):
    assert ModelCard.loads(written.dumps(), "here") == written


@settings(max_examples=8)
@given(written=CARDS)
def test_cards_come_back_from_files(written, tmp_path_factory):
    path = tmp_path_factory.mktemp("card") / "m.tflite"
    path.write_bytes(b"TFL3")
    card.append(path, written)
    assert card.read(path) == written


NUMBERS = {  # a setting and what it may be
    "epochs": st.integers(1, 10**6),
    "seed": st.integers(0, 2**31),
    "learning_rate": st.floats(1e-9, 1e3),
    "weight_decay": st.floats(0, 10),
    "momentum": st.floats(0, 1, exclude_max=True),
    "label_smoothing": st.floats(0, 1, exclude_max=True),
    "nesterov": st.booleans(),
    "hold_out": st.booleans(),
    "milestones": st.lists(st.floats(0.01, 0.99), unique=True, max_size=4).map(lambda values: tuple(sorted(values))),
}


@settings(max_examples=60)
@given(st.sampled_from(sorted(RECIPES)), st.fixed_dictionaries({}, optional=NUMBERS))
def test_recipes_come_back_from_text_and_from_the_command_line(name, changes):
    changes = {key: value for key, value in changes.items() if key in RECIPES[name].settings()}  # of its task's head
    try:
        recipe = dataclasses.replace(RECIPES[name], **changes)
    except ValueError:  # settings that exclude each other
        return
    assert recipes.loads(recipe.dumps(), "here") == recipe
    typed = [
        f"{key}={','.join(map(repr, value)) if isinstance(value, tuple) else str(value).lower()}"
        for key, value in changes.items()
        if value != ()
    ]
    same = dataclasses.replace(RECIPES[name], **{key: value for key, value in changes.items() if value != ()})
    received = override(RECIPES[name], typed)
    assert dataclasses.replace(received, own_rate=same.own_rate) == same  # a new learning rate resets that


@pytest.fixture(scope="module")
def models(mini_spec):
    return build(mini_spec), build(mini_spec)


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e30]),
    prefix=st.sampled_from(["", "a_", "rgb_"]),
    facts=st.dictionaries(TEXT.filter(bool), TEXT, max_size=3),
    written=CARDS,
)
def test_weights_come_back_bit_for_bit(models, mini_spec, tmp_path_factory, seed, scale, prefix, facts, written):
    source, target = models
    rng = np.random.default_rng(seed)
    source.set_weights([(scale * rng.standard_normal(w.shape)).astype("f") for w in source.get_weights()])
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    facts = {key: value for key, value in facts.items() if key != card.KEY}
    save_weights(source, path, card=dataclasses.replace(written, spec="mini"), metadata=facts)
    assert load_weights(target, path, spec=mini_spec).exact
    for ours, theirs in zip(target.get_weights(), source.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert weights_card(path, "resnet8") == dataclasses.replace(written, spec="mini")
    tensors = safetensors.numpy.load_file(path)
    renamed = {f"{prefix}{name}": value for name, value in tensors.items()}
    safetensors.numpy.save_file(renamed, path)
    assert load_weights(target, path, spec=mini_spec, prefix=prefix).exact


@settings(max_examples=30)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
    )
)
def test_what_is_no_card_is_an_error_in_our_words_or_a_card(value):
    from keras_resnet import InputError

    try:
        found = ModelCard.loads(json.dumps(value), "here")
    except InputError as error:
        assert "here" in str(error)
    else:
        assert isinstance(found, ModelCard)
