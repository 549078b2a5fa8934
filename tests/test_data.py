"""Sources, splits, pipelines and augmentation."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_resnet import InputError, load_dataset
from keras_resnet.data import batches, training_batches
from keras_resnet.data.augment import (
    AUGMENTATIONS,
    Augmentation,
    affine,
    erase,
    get_augmentation,
    jitter,
    pad_crop,
    turn_flip,
    unmoved,
)
from keras_resnet.data.cifar import LAYOUTS, read_records
from keras_resnet.data.dataset import ArraySplit
from keras_resnet.data.folder import check_unreadable
from keras_resnet.signals import crops
from keras_resnet.signals import image as images


def test_digits_have_every_image_once_in_stratified_parts(digits):
    parts = (digits.train, digits.validation, digits.test)
    assert [len(part.labels) for part in parts] == [1257, 180, 360]
    raw = load_digits()
    whole = np.concatenate([part.images for part in parts])
    assert whole.shape == (1797, 32, 32, 3)
    assert whole.dtype == np.uint8
    # Every original appears: the sorted sums of the upsampled images are those of the originals, upsampled.
    large = tf.image.resize(np.rint(raw.images * 255 / 16).astype("u1")[..., None], (32, 32)).numpy().round()
    np.testing.assert_array_equal(
        np.sort(whole.sum((1, 2, 3), dtype=int)), np.sort(3 * large.sum((1, 2, 3)).astype(int))
    )
    for part in parts:
        counts = np.bincount(part.labels) / len(part.labels)
        np.testing.assert_allclose(counts, np.bincount(raw.target) / 1797, atol=0.01)


def test_digits_split_is_fixed_for_good(digits):
    """Published accuracies refer to these images."""
    assert digits.test.labels[:12].tolist() == [5, 7, 5, 5, 3, 0, 2, 2, 1, 6, 0, 0]
    assert digits.test.images.sum(dtype=np.int64) == pytest.approx(85_931_082, rel=1e-6)


def _records(count, labels=None):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (count, 3073), np.uint8)
    rows[:, 0] = rng.integers(0, 10, count) if labels is None else labels
    return rows


@pytest.fixture
def fake_cifar(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    content = _records(10_000).tobytes()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / f"{name}.bin").write_bytes(content)
    return tmp_path


def test_cifar_records_are_planes_of_rgb(tmp_path):
    rows = _records(3)
    (tmp_path / "x.bin").write_bytes(rows.tobytes())
    pixels, labels = read_records(tmp_path / "x.bin", records=3)
    np.testing.assert_array_equal(labels, rows[:, 0])
    assert pixels[1, 5, 7, 2] == rows[1, 1 + 2 * 1024 + 5 * 32 + 7]


@pytest.mark.proof  # every day: test_cifar_is_found_in_the_cache_of_keras
def test_cifar_takes_the_folder_or_the_one_above(fake_cifar):
    for folder in (fake_cifar, fake_cifar / "cifar-10-batches-bin"):
        dataset = load_dataset("cifar10", folder)
        assert [len(s.labels) for s in (dataset.train, dataset.validation, dataset.test)] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.validation.labels).min() > 400


def test_cifar100_has_two_labels_of_which_the_fine_one_counts(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (3, 3074), np.uint8)
    rows[:, :2] = [[19, 7], [3, 99], [0, 0]]
    (tmp_path / "x.bin").write_bytes(rows.tobytes())
    pixels, labels = read_records(tmp_path / "x.bin", LAYOUTS["cifar100"], records=3)
    assert labels.tolist() == [7, 99, 0]
    assert pixels[1, 5, 7, 2] == rows[1, 2 + 2 * 1024 + 5 * 32 + 7]
    rows[0, 1] = 100
    (tmp_path / "x.bin").write_bytes(rows.tobytes())
    with pytest.raises(InputError, match=r"label 100, expected 0\.\.99"):
        read_records(tmp_path / "x.bin", LAYOUTS["cifar100"], records=3)


def test_cifar100_names_its_classes_in_their_order():
    classes = LAYOUTS["cifar100"].classes
    assert len(classes) == len(set(classes)) == 100
    assert list(classes) == sorted(classes)
    assert (classes[0], classes[54], classes[99]) == ("apple", "orchid", "worm")


@pytest.mark.proof
def test_cifar100_is_loaded_whole(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train.bin", 50_000), ("test.bin", 10_000)):
        rows = np.zeros((count, 3074), np.uint8)
        rows[:, 1] = rng.permutation(np.arange(count) % 100)
        rows.tofile(folder / name)
    dataset = load_dataset("cifar100", tmp_path)
    assert [len(s.labels) for s in (dataset.train, dataset.validation, dataset.test)] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.validation.labels).tolist() == [50] * 100


@pytest.mark.slow
def test_cifar_is_found_in_the_cache_of_keras(fake_cifar, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "datasets").symlink_to(fake_cifar, target_is_directory=True)
    with pytest.raises(InputError, match="needs its f(iles|older): --data "):
        load_dataset("cifar10")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert len(load_dataset("cifar10").test.labels) == 10_000


@pytest.mark.proof
def test_real_cifar_is_balanced(cifar_dir):
    dataset = load_dataset("cifar10", cifar_dir)
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert np.bincount(dataset.validation.labels).tolist() == [500] * 10


def test_truncated_cifar_file_is_named(fake_cifar):
    path = fake_cifar / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="data_batch_3.bin is truncated: expected 30,730,000 .* received 30,729,999"):
        load_dataset("cifar10", fake_cifar)


def test_damaged_cifar_labels(tmp_path):
    (tmp_path / "x.bin").write_bytes(_records(2, labels=[1, 10]).tobytes())
    with pytest.raises(InputError, match="label 10"):
        read_records(tmp_path / "x.bin", records=2)


def test_cifar_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="--data cifar10:DIR"):
        load_dataset("cifar10")
    with pytest.raises(InputError, match="expected cifar-10-batches-bin"):
        load_dataset("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(InputError, match="pickled version is not read"):
        load_dataset("cifar10", tmp_path)


def test_unknown_dataset():
    with pytest.raises(InputError, match="did you mean digits"):
        load_dataset("digit")


def test_image_folder_has_classes_splits_and_pixels(image_folder):
    dataset = load_dataset(image_folder, image_shape=(8, 8, 3))
    assert dataset.classes == ("blue", "red")
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part.labels) for part in parts] == [32, 4, 4]
    assert len({path for part in parts for path in part.contents.paths}) == 40
    for batch in batches(dataset.test, 3):
        assert batch["image"].shape[1:] == (8, 8, 3)
        means = batch["image"].numpy().mean(axis=(1, 2))
        np.testing.assert_array_equal(means[:, 0] > means[:, 2], batch["label"].numpy() == 1)


def test_image_folder_with_parts_of_its_own(image_folder, tmp_path):
    for part in ("train", "val"):
        (tmp_path / part).symlink_to(image_folder)
    dataset = load_dataset(tmp_path, image_shape=(8, 8, 3))
    assert [len(p.labels) for p in (dataset.train, dataset.validation, dataset.test)] == [
        36,
        4,
        40,
    ]  # nothing is chosen on the images that figures are of


def test_a_stranger_among_the_classes(image_folder, tmp_path):
    (tmp_path / "train").symlink_to(image_folder)
    (tmp_path / "test" / "green").mkdir(parents=True)
    (tmp_path / "test" / "green" / "1.png").write_bytes((image_folder / "red" / "01.png").read_bytes())
    with pytest.raises(InputError, match="classes that the training images have not: green"):
        load_dataset(tmp_path, image_shape=(8, 8, 3))


def test_folders_without_classes_or_images(tmp_path):
    with pytest.raises(InputError, match="no class folders"):
        load_dataset(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="no .png, .jpg, .*, .heif files below a"):
        load_dataset(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        load_dataset(tmp_path / "none")


def test_unreadable_images_are_counted_named_and_refused_above_the_limit(image_folder, tmp_path):
    import shutil

    shutil.copytree(image_folder, tmp_path / "d")
    broken = tmp_path / "d" / "red" / "03.png"
    good = broken.with_name("02.jpg").read_bytes()
    broken.write_bytes(b"no image")
    (tmp_path / "d" / "red" / "02.jpg").write_bytes(good[: len(good) // 2])
    dataset = load_dataset(tmp_path / "d", image_shape=(8, 8, 3))
    assert broken in dataset.unreadable
    assert sum(len(p.labels) for p in (dataset.train, dataset.validation, dataset.test)) == 40 - len(dataset.unreadable)
    with pytest.raises(InputError, match=r"of 40 images cannot be decoded \(.*0[23].*max_unreadable=0.0"):
        check_unreadable(dataset)
    check_unreadable(dataset, limit=0.06)


def test_a_class_with_too_few_images(tmp_path, image_folder):
    import shutil

    shutil.copytree(image_folder, tmp_path / "d")
    for path in sorted((tmp_path / "d" / "red").iterdir())[2:]:
        path.unlink()
    with pytest.raises(InputError, match="at least 3 readable images"):
        load_dataset(tmp_path / "d", image_shape=(8, 8, 3))


@pytest.mark.parametrize(("shape", "size"), [((10, 30, 3), (8, 8)), ((30, 10, 3), (8, 8)), ((1, 50, 3), (4, 4))])
def test_resize_takes_the_central_part(shape, size):
    image = np.zeros(shape, np.uint8)
    middle = [slice((n - min(shape[:2])) // 2, (n - min(shape[:2])) // 2 + min(shape[:2])) for n in shape[:2]]
    image[tuple(middle)] = 200
    np.testing.assert_array_equal(images.resize(tf.constant(image), size).numpy(), np.full((*size, 3), 200))


def test_grey_and_colour_images_load_as_asked(image_folder, tmp_path):
    grey = tmp_path / "g.png"
    grey.write_bytes(tf.io.encode_png(np.full((5, 5, 1), 90, np.uint8)).numpy())
    np.testing.assert_array_equal(images.load(grey, (5, 5, 3)), np.full((5, 5, 3), 90))
    assert images.load(image_folder / "red" / "01.png", (4, 4, 1)).shape == (4, 4, 1)


def test_images_that_are_none(tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be decoded"):
        images.load(tmp_path / "x.png", (4, 4, 3))
    with pytest.raises(InputError, match="is no file"):
        images.load(tmp_path / "y.png", (4, 4, 3))


@pytest.fixture
def numbered():
    """Images whose pixels are their index."""
    index = np.arange(10, dtype=np.uint8)
    return ArraySplit(np.broadcast_to(index[:, None, None, None], (10, 4, 4, 1)).copy(), index.astype(np.int64))


def test_evaluation_batches_have_every_image_once_in_order(numbered):
    seen = np.concatenate([batch["label"].numpy() for batch in batches(numbered, 4)])
    np.testing.assert_array_equal(seen, np.arange(10))


def _epochs(split, epochs, **arguments):
    stream = training_batches(split, 5, **arguments).as_numpy_iterator()
    return [np.concatenate([next(stream)["label"] for _ in range(2)]) for _ in range(epochs)]


def test_training_batches_are_a_function_of_seed_and_epoch(numbered):
    first, second = _epochs(numbered, 2, seed=3)
    np.testing.assert_array_equal(np.sort(first), np.arange(10))
    assert first.tolist() != second.tolist()
    np.testing.assert_array_equal(_epochs(numbered, 1, seed=3)[0], first)
    np.testing.assert_array_equal(_epochs(numbered, 1, seed=3, first_epoch=1)[0], second)
    assert _epochs(numbered, 1, seed=4)[0].tolist() != first.tolist()


def test_augmentation_belongs_to_the_image_not_to_its_place(numbered):
    """The random numbers of an image do not depend on the batch size."""

    def draws(batch_size):
        kept = {}
        stream = training_batches(
            numbered,
            batch_size,
            seed=0,
            augment=Augmentation(unmoved(lambda x, d: tf.cast(x, tf.float32) + d[:, :1, None, None])),
        )
        for batch in stream.take(10 // batch_size).as_numpy_iterator():
            kept.update(zip(batch["label"].tolist(), batch["image"][:, 0, 0, 0].tolist(), strict=True))
        return kept

    assert draws(5) == draws(2)


def test_pad_crop_against_numpy():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (50, 6, 5, 3), np.uint8)
    draws = rng.random((50, 4)).astype("f")
    result = pad_crop(tf.constant(x), tf.constant(draws), 2, flip=True)[0].numpy()
    for image, draw, got in zip(x, draws, result, strict=True):
        top, left = (draw[:2] * 5).astype(int)
        window = np.pad(image, ((2, 2), (2, 2), (0, 0)))[top : top + 6, left : left + 5]
        np.testing.assert_array_equal(got, window[:, ::-1] if draw[2] < 0.5 else window)


def test_affine_leaves_the_middle_of_its_range_alone_and_moves_the_rest():
    x = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3), np.uint8)
    middle = np.full((2, 4), 0.5, "f")
    np.testing.assert_array_equal(affine(tf.constant(x), tf.constant(middle), 10, 0.1, 3)[0].numpy(), x)
    shifted = affine(tf.constant(x), tf.constant([[0.5, 0.5, 1.0, 0.5]] * 2), 10, 0.1, 3)[0].numpy()
    np.testing.assert_array_equal(shifted[:, :, 3:], x[:, :, :-3])
    turned = affine(tf.constant(x), tf.constant([[1.0, 0.5, 0.5, 0.5]] * 2), 90, 0.1, 3)[0].numpy()
    np.testing.assert_allclose(turned.astype(int), np.rot90(x, 1, (1, 2)).astype(int), atol=1)


def test_pictures_are_turned_by_quarters_and_mirrored():
    x = np.random.default_rng(0).integers(0, 256, (8, 5, 5, 3), np.uint8)
    draws = np.array([[across, down, turned] for across in (0, 0.9) for down in (0, 0.9) for turned in (0, 0.9)], "f")
    moved, placement = turn_flip(tf.constant(x), tf.constant(draws))
    found = [image.tobytes() for image in moved.numpy()]
    for number, image in enumerate(x):
        turns = [np.rot90(each, quarters) for each in (image, image[:, ::-1]) for quarters in range(4)]
        assert found[number] in [each.tobytes() for each in turns]
    same = [image.tobytes() for image in turn_flip(tf.constant(x[:1].repeat(8, 0)), tf.constant(draws))[0].numpy()]
    assert len(set(same)) == 8
    for image, original, matrix in zip(moved.numpy(), x, placement.matrix.numpy(), strict=True):
        column, row, _ = np.rint(matrix @ [1, 3, 1]).astype(int)
        np.testing.assert_array_equal(image[3, 1], original[row, column])
    wide, _ = turn_flip(tf.constant(x[:, :3]), tf.constant(draws))
    np.testing.assert_array_equal(wide[0], x[0, :3][::-1, ::-1])


def test_augmentations_keep_shape_and_dtype():
    x, draws = tf.zeros((2, 8, 8, 3), tf.uint8), tf.zeros((2, 4))
    for name in AUGMENTATIONS:
        row = get_augmentation(name, "image")
        augment, draws = row.batch, tf.zeros((2, row.draws))
        if augment:
            moved, _ = augment(x, draws)
            assert (moved.shape, moved.dtype) == (x.shape, tf.uint8)
    with pytest.raises(InputError, match="unknown augmentation"):
        get_augmentation("mixup", "image")


def test_pipelines_are_not_tuned_while_they_run(numbered):
    """Iterators of tuned ones wait for the tuner when they are deleted."""
    from keras_resnet.data.timing import Clock

    pipeline = training_batches(numbered, 4, seed=0)
    for made in (
        batches(numbered, 4),
        Clock().timed(pipeline),
        tf.data.Dataset.zip(pipeline, tf.data.Dataset.range(9)),
    ):
        assert made.options().autotune.enabled is False


# --- Mixing


def _mixed(mixup=0.0, cutmix=0.0, seed=(3, 4)):
    import tensorflow as tf

    from keras_resnet.data.mixing import make_mix

    images = np.arange(4, dtype="f")[:, None, None, None] * np.ones((4, 8, 8, 1), "f")  # every image one value
    mix = make_mix(mixup, cutmix)
    mixed, soft = mix(tf.constant(images), tf.eye(4), mix.values(seed))
    return mixed.numpy(), soft.numpy()


def test_mixup_weighs_images_and_targets_alike():
    mixed, soft = _mixed(mixup=1.0)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed, (soft @ np.arange(4))[:, None, None, None] * np.ones((4, 8, 8, 1)), rtol=1e-5)
    assert 0 < soft[0, 0] < 1
    assert soft[0, 0] + soft[0, 3] == pytest.approx(1)


def test_cutmix_pastes_a_rectangle_and_targets_follow_its_area():
    shares = []
    for seed in range(20):
        mixed, soft = _mixed(cutmix=1.0, seed=(seed, 7))
        pasted = mixed[0, ..., 0] == 3
        rows, columns = pasted.any(axis=1), pasted.any(axis=0)
        np.testing.assert_array_equal(pasted, rows[:, None] & columns)  # a rectangle
        assert soft[0, 3] == pytest.approx(pasted.mean())
        shares.append(pasted.mean())
    assert max(shares) > 0.3
    assert min(shares) < 0.1


def test_mixing_is_a_function_of_the_seed_and_weights_have_the_distribution():
    np.testing.assert_array_equal(_mixed(1.0)[0], _mixed(1.0)[0])
    weights = np.array([_mixed(0.2, seed=(seed, 1))[1][0, 0] for seed in range(300)])
    assert abs(weights.mean() - 0.5) < 0.07
    assert weights.std() == pytest.approx(0.5 / np.sqrt(1.4), abs=0.05)  # of Beta(0.2, 0.2)


def _one_hot(truth):
    return tf.one_hot(truth["label"], 10)


def test_pipelines_mix_every_batch_of_every_epoch_differently(digits):
    from keras_resnet.data.mixing import make_mix

    def weights(first_epoch):
        pipeline = training_batches(
            digits.train, 400, seed=0, mix=make_mix(0.4, 0.0), encode=_one_hot, first_epoch=first_epoch
        )
        return [float(targets.numpy().max(axis=1).min()) for _, targets in pipeline.take(6)]

    first = weights(0)
    assert len(set(first)) == 6
    assert weights(1)[:3] == first[3:]  # three batches an epoch: a later start sees the same
    assert make_mix(0.0, 0.0) is None
    assert make_mix(0.1, 1.0) is not None


# --- Waiting


def test_the_clock_runs_only_while_a_batch_is_not_ready(monkeypatch):
    """With a clock of our own: producing a batch takes 3 seconds, consuming it 10, prefetched ones are ready."""
    import tensorflow as tf

    from keras_resnet.data import timing

    now = [0.0]
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])

    def produce(x):
        now[0] += 3.0
        return x

    slow = tf.data.Dataset.range(4).map(lambda x: tf.numpy_function(produce, [x], tf.int64))
    clock = timing.Clock()
    for _ in clock.timed(slow):  # nothing prefetched: every batch is waited for
        now[0] += 10.0
    assert clock.seconds == 4 * 3.0
    ready, clock = tf.data.Dataset.range(4), timing.Clock()
    assert [int(x) for x in clock.timed(ready)] == [0, 1, 2, 3]
    assert clock.seconds == 0.0


# --- Crops


def _ramp(height, width):
    """Red grows with the row, green with the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (200, 256), (256, 180)])
def test_the_usual_evaluation_crop_against_pillow(height, width):
    """Shorter side to 256, central 224, in one step instead of two: within two grey levels of the textbook's way."""
    from PIL import Image

    pixels = _ramp(height, width)
    scale = 256 / min(height, width)
    resized = Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.BILINEAR)
    left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), int)
    received = images.resize(pixels, (224, 224), keep=0.875).numpy().astype(int)
    assert np.abs(received - expected).max() <= 2
    assert np.abs(images.resize(pixels, (224, 224)).numpy().astype(int) - expected).max() > 10


def test_random_boxes_have_their_area_and_aspect_and_lie_inside():
    rng = np.random.default_rng(0)
    boxes = np.array(
        [crops.random_box(100, 150, rng.random(4).astype("f"), (8, 8), area=(0.2, 0.5)).numpy() for _ in range(300)]
    )
    row, column, height, width = boxes.T
    assert (row >= 0).all()
    assert (column >= 0).all()
    assert (row + height <= 100).all()
    assert (column + width <= 150).all()
    assert (row + height == 100).any()  # the last position is reached
    share = height * width / 15_000
    assert share.min() > 0.19
    assert share.max() < 0.51
    assert (np.abs(np.log(width / height)) < np.log(4 / 3) + 0.05).all()
    whole = crops.random_box(100, 100, np.float32([1 - 1e-7, 0.5, 0.9, 0.9]), (8, 8), area=(0.08, 1.0)).numpy()
    assert whole.tolist() == [0, 0, 100, 100]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_random_crops_are_parts_of_the_file_and_mirrored_on_demand(tmp_path, suffix):
    import tensorflow as tf

    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = 200  # dark on the left, light on the right
    path = tmp_path / f"x.{suffix}"
    encoded = tf.io.encode_png(pixels) if suffix == "png" else tf.io.encode_jpeg(pixels, quality=100)
    path.write_bytes(encoded.numpy())

    box = functools.partial(crops.random_box, area=(0.25, 0.25))

    def crop(*draws):
        return images.random_part(path.read_bytes(), (16, 16, 3), np.float32(draws), box)[0].numpy()

    left, right = crop(0, 0.5, 0.5, 0.0, 0.9), crop(0, 0.5, 0.5, 0.999, 0.9)
    assert left.max() < 30
    assert right.min() > 170
    middle, mirrored = crop(0, 0.5, 0.5, 0.5, 0.9), crop(0, 0.5, 0.5, 0.5, 0.1)
    assert middle[:, 0].mean() < 30
    assert middle[:, -1].mean() > 170
    np.testing.assert_array_equal(mirrored, middle[:, ::-1])


@pytest.mark.slow
def test_random_crops_of_a_pipeline_are_functions_of_seed_and_epoch(image_folder):
    split = load_dataset(image_folder, image_shape=(16, 16, 3)).train

    def pixels(first_epoch):
        row = get_augmentation("resized-crop", "image")
        pipeline = training_batches(split, 8, seed=3, augment=row, first_epoch=first_epoch)
        return next(iter(pipeline))["image"].numpy()

    np.testing.assert_array_equal(pixels(0), pixels(0))
    assert not np.array_equal(pixels(0), pixels(1))
    assert pixels(0).shape == (8, 16, 16, 3)


def test_cards_with_an_impossible_crop_are_damaged():
    from keras_resnet import ModelCard

    assert ModelCard.loads('{"crop": 0.875}', "x").crop == 0.875
    with pytest.raises(InputError, match="damaged"):
        ModelCard.loads('{"crop": 0}', "x")


# --- Jitter, erasing, repeats


def test_jitter_against_its_formulas():
    x = np.random.default_rng(0).integers(60, 180, (3, 5, 5, 3), np.uint8)
    draws = np.float32([[0.5, 0.5, 0.5], [1.0, 0.5, 0.5], [0.5, 0.5, 0.0]])
    same, bright, grey = jitter(tf.constant(x), tf.constant(draws), 0.4).numpy().astype(float)
    np.testing.assert_array_equal(same, x[0])
    np.testing.assert_allclose(bright, x[1] * 1.4, atol=0.51)
    luma = x[2] @ np.array([0.2989, 0.587, 0.114])
    np.testing.assert_allclose(grey, 0.6 * x[2] + 0.4 * luma[..., None], atol=0.6)
    flat = jitter(tf.constant(x[:1]), tf.constant([[0.5, 0.0, 0.5]]), 1.0).numpy()
    assert np.ptp(flat) <= 1  # no contrast at all: the mean grey everywhere


def test_erasing_covers_a_rectangle_of_the_area_asked_for_in_every_second_image():
    rng = np.random.default_rng(0)
    draws = rng.random((400, 5)).astype("f")
    x = np.zeros((400, 32, 32, 1), np.uint8)
    covered = erase(tf.constant(x), tf.constant(draws)).numpy()[..., 0] == 127
    assert (covered.any(axis=(1, 2)) == (draws[:, 0] < 0.5)).mean() > 0.98  # the narrowest may miss every pixel
    share = covered.mean(axis=(1, 2))[draws[:, 0] < 0.5]
    assert share.max() < 0.4
    assert share.mean() == pytest.approx(0.18, abs=0.03)
    for mask in covered[:50]:
        assert (mask == (mask.any(axis=1)[:, None] & mask.any(axis=0))).all()


@pytest.mark.slow
def test_repeats_are_copies_with_augmentations_of_their_own(digits):
    row = get_augmentation("crop-flip", "image")
    plain = list(training_batches(digits.train, 60, seed=1, repeats=3).take(20).as_numpy_iterator())
    labels = np.concatenate([batch["label"] for batch in plain]).reshape(-1, 3)
    assert (labels == labels[:, :1]).all()
    x = next(iter(training_batches(digits.train, 60, seed=1, augment=row, repeats=3)))["image"]
    copies = x.numpy().reshape(20, 3, -1)
    assert sum(not np.array_equal(c[0], c[1]) for c in copies) > 15
    indices = [batch["image"].sum(axis=(1, 2, 3)) for batch in plain]
    assert len(np.unique(np.concatenate(indices))) <= 400  # an epoch of 1,200 has 400 different images


@pytest.mark.parametrize("shape", [(1, 7, 1), (40, 30, 3), (5, 64, 3), (33, 8, 4), (2, 9, 20, 3)])
def test_smoothing_gives_the_bits_of_tensorflow(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for part in (pixels, np.where(pixels > 127, 255, 0).astype("u1")):
        expected = tf.image.resize(part, (16, 12), antialias=True).numpy()
        np.testing.assert_array_equal(images.scaled(tf.constant(part), (16, 12)), np.rint(expected).astype("u1"))
