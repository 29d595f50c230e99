"""Measures the loader for benchmark.py: one image, and an epoch beside its training steps."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chainer
import numpy as np

from config import load_config
from dataset.batches import to_batch
from dataset.demo_data import make_demo_data
from dataset.epoch_order import EpochOrder
from fcn_squeeze import FCN
from files.opencv import cv2
from mini_batch_loader import DatasetPreProcessor
from train import make_iterator

# Images of the data set, all training images; and how often it is gone through.
IMAGES = 40
EPOCHS = 6
PHOTO_SIZE = 960, 720  # width, height
# Threads that prepare images at the same time.
WORKERS = (1, 2)


def measure(batch_size: int) -> dict:
    """Seconds: ``read`` and ``cached``, one for each image, ``epochs``, ``steps`` of epochs.

    And ``rates``: {workers: (images a second that are read, images a second from the cache)}.
    """
    with tempfile.TemporaryDirectory() as folder:
        _make_data(Path(folder))
        load_config(
            Path(__file__).parent.parent / "config.yaml", _settings(folder, batch_size)
        )
        args = chainer.global_config.user_train_args
        args.cache_size = 0
        reading = DatasetPreProcessor(args)
        read = _seconds_an_image(reading)
        args.cache_size = 512
        loader = DatasetPreProcessor(args)
        _seconds_an_image(loader)
        cached = _seconds_an_image(loader)
        rates = {n: (_rate(reading, n), _rate(loader, n)) for n in WORKERS}
        epochs, steps = _epochs(loader)
    seconds = {"read": read, "cached": cached, "epochs": epochs, "steps": steps}
    return {**seconds, "rates": rates}


def _make_data(folder: Path) -> None:
    """Demo scenes as photos of PHOTO_SIZE."""
    make_demo_data(folder, splits={"train": IMAGES, "val": 1, "test": 1})
    random = np.random.RandomState(0)
    for path in sorted((folder / "images").glob("*.png")):
        is_label = path.stem.endswith("_L")
        kind = cv2.INTER_NEAREST if is_label else cv2.INTER_LINEAR
        image = cv2.resize(cv2.imread(str(path)), PHOTO_SIZE, interpolation=kind)
        if not is_label:  # a camera's noise, which makes a PNG as large as a photo's
            image = np.clip(image + random.randint(-3, 4, image.shape), 0, 255)
        cv2.imwrite(str(path), image.astype(np.uint8))


def _settings(folder: str, batch_size: int) -> list[str]:
    """What differs from config.yaml."""
    settings = [
        f"training_params.batch_size={batch_size}",
        f"image_dir_path={folder}/images",
    ]
    pointers = [
        f"{n}_image_pointer={folder}/{n}_image_pointer"
        for n in ("train", "val", "test")
    ]
    return [*settings, *pointers, f"label_path={folder}/label_color"]


def _seconds_an_image(loader: DatasetPreProcessor) -> list[float]:
    seconds = []
    for i in range(len(loader)):
        start = time.perf_counter()
        loader.get_example(i)
        seconds.append(time.perf_counter() - start)
    return seconds


def _rate(loader: DatasetPreProcessor, workers: int) -> float:
    """Images a second, over the whole list, by so many threads."""
    with ThreadPoolExecutor(workers) as pool:
        start = time.perf_counter()
        for _ in pool.map(loader.get_example, range(len(loader))):
            pass
        return len(loader) / (time.perf_counter() - start)


def _epochs(loader: DatasetPreProcessor) -> tuple[list[float], list[float]]:
    """Seconds of epochs with cached images, and of as many training steps alone, in turn."""
    args, device = loader.args, chainer.get_device("@numpy")
    model = FCN(args.n_class, args.in_ch)
    optimizer = chainer.optimizers.Adam().setup(model)
    batch_size = args.training_params.batch_size
    order = EpochOrder(len(loader), batch_size, args.seed)
    iterator = make_iterator(loader, order.share, order)
    count = -(-len(loader) // batch_size)
    batches = [to_batch(iterator.next(), device) for _ in range(count)]
    epochs, steps = [], []
    for epoch in range(EPOCHS + 1):
        start = time.perf_counter()
        for _ in range(count):
            optimizer.update(model, *to_batch(iterator.next(), device))
        middle = time.perf_counter()
        for batch in batches:
            optimizer.update(model, *batch)
        if epoch:  # the first warms up
            epochs.append(middle - start)
            steps.append(time.perf_counter() - middle)
    iterator.finalize()
    return epochs, steps
