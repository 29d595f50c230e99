import itertools

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import SmallData, write_picture
from PIL import Image

from config import dump_config, load_config
from dataset.epoch_order import EpochOrder
from files.errors import UserError
from mini_batch_loader import DatasetPreProcessor

ALL_AUGMENTATION = {"do_augment": True}

# All augmentations off, to turn one of them on.
ONLY = {
    "do_augment": True,
    "do_flip": False,
    "do_scale": False,
    "change_brightness": False,
    "change_contrast": False,
}


def training_loader(small_data, **changes) -> DatasetPreProcessor:
    small_data.load(**changes)
    return DatasetPreProcessor(chainer.global_config.user_train_args)


def bytes_of(examples) -> bytes:
    return b"".join(array.tobytes() for e in examples if e is not None for array in e)


class TestExamples:
    def test_shapes_and_types_are_the_chapters(self, small_data):
        loader = training_loader(small_data)
        image, label = loader.get_example(0)
        assert (image.shape, image.dtype) == ((3, 32, 48), np.float32)
        assert (label.shape, label.dtype) == ((32, 48), np.int32)
        x, t = loader.load_data([3, 0, 1])
        assert (x.shape, x.dtype) == ((3, 3, 32, 48), np.float32)
        assert (t.shape, t.dtype) == ((3, 32, 48), np.int32)
        np.testing.assert_array_equal(x[1], image)
        assert len(loader) == 5

    def test_going_through_the_loader_gives_each_image_once(self, small_data):
        loader = training_loader(small_data)
        examples = list(itertools.islice(loader, 6))
        assert bytes_of(examples) == bytes_of(loader.get_example(i) for i in range(5))

    def test_labels_are_class_numbers_of_the_table(self, small_data):
        _, label = training_loader(small_data).get_example(2)
        blocks = np.random.default_rng(2).integers(0, 3, (4, 6))
        np.testing.assert_array_equal(label, np.kron(blocks, np.ones((8, 8), int)))

    def test_ignored_classes_are_minus_one(self, small_data):
        _, plain = training_loader(small_data).get_example(0)
        _, label = training_loader(small_data, ignore_labels=["Road"]).get_example(0)
        np.testing.assert_array_equal(label, np.where(plain == 1, -1, plain))

    def test_image_and_label_stay_together_through_everything(self, tmp_path):
        """Each class has its own grey level, so the label can be read off the image."""
        data = SmallData(tmp_path, train=4, val=1, test=1, size=(74, 109))
        for i in range(4):
            blocks = np.random.default_rng(i).integers(0, 3, (3, 4))
            classes = np.kron(blocks, np.ones((32, 32), int))[:74, :109]
            write_picture(
                data.images / f"train_{i}.png",
                np.repeat(classes[..., None] * 100, 3, 2).astype(np.uint8),
            )
            write_picture(data.images / f"train_{i}_L.png", classes.astype(np.uint8))
        loader = training_loader(
            data,
            normalizer="none",
            image_scale=0.5,
            augmentation_params={
                "do_augment": True,
                "scale": [1.4],
                "change_brightness": False,
                "change_contrast": False,
            },
            training_params={"batch_size": 1},
        )
        shapes = set()
        for epoch in range(1, 9):
            for number in EpochOrder(4, 1, 0).order(epoch):
                image, label = loader.get_example(number)
                seen = np.rint(image[0] * 255 / 100).astype(int)
                assert (
                    np.mean(seen == label) > 0.9
                )  # but for pixels averaged over an edge
                shapes.add(label.shape)
        assert shapes == {(32, 48), (48, 64)}

    def test_validation_images_are_cropped_at_the_centre_and_never_augmented(
        self, tmp_path
    ):
        data = SmallData(tmp_path, train=1, val=1, test=1, size=(40, 56))
        data.load(augmentation_params=ALL_AUGMENTATION, normalizer="none")
        loader = DatasetPreProcessor(chainer.global_config.user_val_args)
        image, _ = loader.get_example(0)
        stored, _ = loader.scaled_pair(0)
        expected = stored[4:36, 4:52].transpose(2, 0, 1) / np.float32(255)
        np.testing.assert_allclose(image, expected)

    def test_training_images_are_cropped_at_random(self, tmp_path):
        data = SmallData(tmp_path, train=1, val=1, test=1, size=(40, 56))
        loader = training_loader(data)
        order = EpochOrder(1, 2, 0)
        crops = {
            loader.get_example(order.order(e)[0])[0].tobytes() for e in range(1, 9)
        }
        assert len(crops) > 4

    def test_scale_is_one_for_the_whole_batch(self, small_data):
        loader = training_loader(
            small_data,
            augmentation_params={"do_augment": True, "scale": [1.5, 2, 3]},
            training_params={"batch_size": 5},
        )
        order = EpochOrder(5, 5, 0)
        sizes = [loader.load_data(order.batch(i))[0].shape[2:] for i in range(24)]
        assert set(sizes) == {(32, 48), (48, 64), (64, 96), (96, 144)}
        assert sizes.count((32, 48)) > 6  # half of the batches are not scaled

    def test_any_numbers_make_a_batch_of_one_scale(self, small_data):
        for seed in range(6):
            loader = training_loader(
                small_data,
                seed=seed,
                augmentation_params={"do_augment": True, "scale": [1.5, 2, 3]},
            )
            x, t = loader.load_data([4, 0, 3, 1])
            assert x.shape[2:] == t.shape[1:]

    def test_images_of_different_sizes_in_one_batch(self, small_data):
        small_data.write_pair("train_1.png", np.zeros((64, 48, 3), np.uint8))
        with pytest.raises(
            UserError, match=r"different sizes in one batch .48 x 32 and 48 x 64"
        ):
            training_loader(small_data).load_data([0, 1])

    def test_image_smaller_than_user_multiple_after_scaling(self, small_data):
        with pytest.raises(
            UserError, match="train_0.png: scaled to 14 x 9 pixels.*user_multiple"
        ):
            training_loader(small_data, image_scale=0.3).get_example(0)

    def test_image_smaller_than_user_multiple_at_half_size(self, small_data):
        loader = training_loader(
            small_data,
            image_scale=0.6,
            training_params={"epochs": 2, "half_size_epochs": 1},
        )
        with pytest.raises(
            UserError, match="scaled to 14 x 9 pixels.*make image_scale larger"
        ):
            loader.get_example(0)


class TestEveryKeyChangesSomething:
    @pytest.mark.parametrize(
        "change",
        [
            {"normalizer": "LCN"},
            {"normalizer": "none"},
            {"image_scale": 0.5},
            {"user_multiple": 32},
            {"crop_size": [32, 32]},
            {"ignore_labels": ["Sky"]},
            {"train_image_pointer": "val_pointer"},
            {"seed": 1, "augmentation_params": ALL_AUGMENTATION},
            {
                "augmentation_params": {
                    "do_augment": True,
                    "do_scale": False,
                    "change_brightness": False,
                    "change_contrast": False,
                }
            },
            {
                "augmentation_params": {
                    "do_augment": True,
                    "do_flip": False,
                    "change_brightness": False,
                    "change_contrast": False,
                }
            },
            {
                "augmentation_params": {
                    "do_augment": True,
                    "do_flip": False,
                    "do_scale": False,
                    "change_contrast": False,
                }
            },
            {
                "augmentation_params": {
                    "do_augment": True,
                    "do_flip": False,
                    "do_scale": False,
                    "change_brightness": False,
                }
            },
            {"augmentation_params": {**ONLY, "do_flip": True}},
            {"augmentation_params": {**ONLY, "do_flip": True, "flips": "left_right"}},
            {"augmentation_params": {**ONLY, "zoom": [0.5, 2]}},
            {"augmentation_params": {**ONLY, "color_gain": [0.5, 2]}},
            {"augmentation_params": {**ONLY, "color_offset": 40}},
            {"augmentation_params": {**ONLY, "gamma": [0.5, 2]}},
            {"augmentation_params": {**ONLY, "saturation": [0.5, 2]}},
        ],
        ids=str,
    )
    def test_example(self, small_data, change):
        order = EpochOrder(2, 2, 0)
        plain = training_loader(small_data)
        before = [plain.get_example(order.order(e)[0]) for e in range(1, 13)]
        changed = training_loader(small_data, **change)
        after = [changed.get_example(order.order(e)[0]) for e in range(1, 13)]
        assert bytes_of(before) != bytes_of(after)


class TestDeterminism:
    def epochs(self, loader, make_iterator, n_batches):
        order = EpochOrder(len(loader), 2, loader.args.seed)
        iterator = make_iterator(loader, order)
        batches = [iterator.next() for _ in range(n_batches)]
        if hasattr(iterator, "finalize"):
            iterator.finalize()
        return batches

    def test_choice_of_iterator_and_threads_changes_nothing(self, small_data):
        loader = training_loader(small_data, augmentation_params=ALL_AUGMENTATION)
        iterators = chainer.iterators
        makers = [
            lambda d, o: iterators.SerialIterator(d, 2, order_sampler=o),
            lambda d, o: iterators.MultithreadIterator(
                d, 2, n_threads=1, order_sampler=o
            ),
            lambda d, o: iterators.MultithreadIterator(
                d, 2, n_threads=5, order_sampler=o
            ),
            lambda d, o: iterators.MultiprocessIterator(
                d, 2, n_processes=2, order_sampler=o
            ),
        ]
        results = {
            bytes_of(itertools.chain(*self.epochs(loader, make, 7))) for make in makers
        }
        assert len(results) == 1

    def test_cache_changes_nothing(self, small_data):
        results = set()
        for cache_size in (0, 64):
            loader = training_loader(
                small_data, cache_size=cache_size, augmentation_params=ALL_AUGMENTATION
            )
            batches = self.epochs(
                loader,
                lambda d, o: chainer.iterators.SerialIterator(d, 2, order_sampler=o),
                7,
            )
            results.add(bytes_of(itertools.chain(*batches)))
        assert len(results) == 1

    def test_same_image_differs_from_epoch_to_epoch(self, small_data):
        loader = training_loader(small_data, augmentation_params=ALL_AUGMENTATION)
        order = EpochOrder(5, 2, 0)
        numbers = [
            n for e in range(1, 7) for n in order.order(e) if n >= 0 and n % 5 == 0
        ]
        assert len({bytes_of([loader.get_example(n)]) for n in numbers}) > 3


class TestCache:
    def test_images_are_read_once_while_the_cache_has_room(self, small_data):
        loader = training_loader(small_data, cache_size=1)
        first = bytes_of([loader.get_example(0)])
        (small_data.images / "train_0.png").unlink()
        assert bytes_of([loader.get_example(0)]) == first

    def test_cache_size_bounds_what_is_kept(self, small_data):
        loader = training_loader(small_data, cache_size=0)
        loader.get_example(0)
        (small_data.images / "train_0.png").unlink()
        with pytest.raises(UserError, match="train_0.png"):
            loader.get_example(0)


class TestLabelsOfTheList:
    def test_label_lies_where_the_list_says(self, small_data):
        _, expected = training_loader(small_data).get_example(1)
        (small_data.images / "gt").mkdir()
        (small_data.images / "train_1_L.png").rename(small_data.images / "gt/one.png")
        names = "train_0.png\ntrain_1\tgt/one.png\ntrain_1\tgt/one\n"
        (small_data.folder / "train_pointer").write_text(names)
        loader = training_loader(small_data)
        assert loader.names == ["train_0.png", "train_1", "train_1"]
        assert loader.lines[:2] == ["train_0.png", "train_1\tgt/one.png"]
        for index in (1, 2):
            np.testing.assert_array_equal(loader.get_example(index)[1], expected)

    def test_palette_labels_need_no_table(self, small_data):
        for path in small_data.images.glob("*_L.png"):
            picture = Image.fromarray(np.eye(32, 48, dtype=np.uint8) * 2)
            picture.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
            picture.save(path)
        small_data.load()
        path = small_data.config_path
        path.write_text(path.read_text().replace("label_path: label_color\n", ""))
        used = load_config(path)
        args = chainer.global_config.user_train_args
        assert args.n_class == 3 and args.label_table.colors[2].tolist() == [200, 0, 0]
        _, label = DatasetPreProcessor(args).get_example(0)
        np.testing.assert_array_equal(label, np.eye(32, 48) * 2)
        assert "label_path" not in dump_config(used, small_data.folder)
