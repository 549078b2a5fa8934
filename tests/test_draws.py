"""Random numbers of a run: equal to TensorFlow's stateless functions to the bit, whatever the back end."""

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data import draws
from keras_resnet.data.epochs import Epochs
from keras_resnet.data.mixing import make_mix

SEEDS = [(0, 0), (1, 2), (123456789012, -5), (7, 2**40), (2**63 - 1, -(2**63))]


@pytest.mark.parametrize("seed", SEEDS)
def test_draws_are_tensorflows(seed):
    assert (draws.uniform(seed, (333, 7)) == tf.random.stateless_uniform((333, 7), seed).numpy()).all()
    expected = tf.random.stateless_uniform((1001,), seed, dtype=tf.float64).numpy()
    assert (draws.uniform64(seed, 1001) == expected).all()
    expected = tf.random.experimental.stateless_shuffle(tf.range(1000), seed).numpy()
    assert (draws.shuffled(seed, 1000) == expected).all()
    assert draws.shuffled(seed, 0).shape == (0,) and draws.shuffled(seed, 1).tolist() == [0]


def test_an_epoch_has_every_example_once_and_in_its_own_order():
    run = Epochs(seed=3, count=50, own=4)
    orders = [run.places(epoch) for epoch in (0, 1, 0)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert (orders[0] == orders[2]).all() and (orders[0] != orders[1]).any()
    assert (run.draws(0) != run.draws(1)).any() and run.draws(0).shape == (50, 4)


def test_copies_follow_each_other_with_draws_of_their_own():
    run = Epochs(seed=0, count=30, own=2, crops=3, repeats=3)
    places = run.places(1)
    assert (places[::3] % 30 == places[1::3] % 30).all() and len(set(places.tolist())) == 30
    assert run.draws(1).shape == (90, 5)


def test_shares_are_how_often_an_example_comes():
    shares = np.array([1.0] * 5 + [3.0] * 5)
    run = Epochs(seed=0, count=10, own=1, ends=np.cumsum(shares))
    counts = np.bincount(np.concatenate([run.places(epoch) for epoch in range(500)]), minlength=10)
    assert abs(counts[5:].sum() / counts.sum() - 0.75) < 0.02


def test_mixing_draws_its_weights_from_the_beta_distribution():
    from scipy import stats

    both, seeds = make_mix(0.4, 1.0), [Epochs(seed=0, count=9, own=1).batch_seed(0, n) for n in range(600)]
    values = np.stack([both.values(seed) for seed in seeds])
    turn = values[:, 0] < 1
    assert abs(turn.mean() - 0.5) < 0.06 and (values[turn, 1] == 0).all() and (values[~turn, 1] > 0).all()
    assert stats.kstest(values[turn, 0], stats.beta(0.4, 0.4).cdf).pvalue > 0.01
    assert stats.kstest(values[~turn, 1], stats.beta(1, 1).cdf).pvalue > 0.01
    assert stats.kstest(values[:, 2:].ravel(), "uniform").pvalue > 0.01
    images, targets = tf.reshape(tf.range(2 * 4 * 4 * 3), (2, 4, 4, 3)), tf.eye(2)
    mixed, soft = both(images, targets, np.float32([1, 0, 0.5, 0.5, 0.5]))  # what changes nothing
    assert (mixed.numpy() == images.numpy()).all() and (soft.numpy() == np.eye(2)).all()
