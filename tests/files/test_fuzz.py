"""Whatever bytes a reader gets: a result or this project's own error, in little time.

The short form tries a few hundred inputs of each kind. The long one, uv run pytest -m slow,
tries 10,000 and prints the figures.
"""

import collections
import io
import os
import signal
import warnings
from pathlib import Path

import chainer_compat

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_hostile_files import small_model
from tiny_run import TinyRun

import config
from dataset.image_reader import read_image
from dataset.label_reader import read_label
from dataset.label_table import LabelTable, read_label_table
from dataset.list_reader import read_list
from files.errors import UserError
from files.opencv import cv2
from files.weights import load_model, save_npz

SHORT, LONG = 300, 10_000
SECONDS = 10  # an input that takes longer counts as a hang
COLORS = np.array([[128, 128, 128], [128, 64, 128], [64, 0, 128]], np.uint8)
TABLE = LabelTable("label_color", ("Sky", "Road", "Car"), COLORS, frozenset({2}))
CLASSES = np.arange(48, dtype=np.int32).reshape(6, 8) % 3


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def weights() -> list[bytes]:
    """A weight file as this project writes it, and as the book script does."""
    path = Path("good.npz")
    save_npz(str(path), small_model())
    ours = path.read_bytes()
    with np.load(path) as archive:
        return [ours, npz(**archive)]


GOOD_CONFIG = b"""image_dir_path: images
train_image_pointer: train
val_image_pointer: val
test_image_pointer: test
label_path: label_color
ignore_labels: [Sky]
output_path: result
image_scale: 0.25
normalizer: GCN
training_params: {learning_rate: 1e-3, batch_size: 2, weight_decay: 0.0005, epochs: 2,
  snapshot_epochs: 1}
augmentation_params: {do_augment: true, do_flip: true, do_scale: false, scale: [0.75, 1.25],
  change_brightness: false, change_contrast: false}
"""
BOOK_TABLE = b"r,g,b,label\n128,128,128,Sky\n128,64,128,Road\n64,0,128,Car\n"
CAMSEQ_TABLE = (
    "128 128 128\tSky\r\n128 64 128\tRoad\r\n64 0 128\tStra\u00dfe\r\n".encode()
)

# Of each reader: what to call with a path, the ending of the file, good files to start from.
READERS = {
    "config": (config.load_config, ".yaml", lambda: [GOOD_CONFIG]),
    "label table": (read_label_table, "", lambda: [BOOK_TABLE, CAMSEQ_TABLE]),
    "pointer file": (read_list, "", lambda: [b"a.png\nb/c.png\n\n../x\n", b"\xef\xbb\xbfa"]),
    "image": (
        lambda path: read_image(path, 3),
        ".png",
        lambda: [png(COLORS[CLASSES]), png(CLASSES.astype(np.uint16)), cv2.imencode(".jpg", COLORS[CLASSES])[1].tobytes()],
    ),
    "label": (
        lambda path: read_label(path, TABLE, (6, 8)),
        ".png",
        lambda: [png(COLORS[CLASSES][..., ::-1]), png(CLASSES.astype(np.uint8))],
    ),
    "npz label": (
        lambda path: read_label(path, TABLE, (6, 8)),
        ".npz",
        lambda: [npz(data=CLASSES), npz(data=CLASSES.astype(np.int64))],
    ),
    "weights": (lambda path: load_model(path, small_model()), ".npz", weights),
}  # fmt: skip


def mutated(good: list[bytes]):
    """Good files with bytes changed, cut out, doubled, put in; and bytes from nowhere."""
    splice = st.tuples(
        st.sampled_from(good),
        st.lists(
            st.tuples(
                st.integers(0, 1 << 16), st.integers(0, 40), st.binary(max_size=20)
            ),
            max_size=6,
        ),
    )
    return st.one_of(
        splice.map(_spliced), splice.map(_spliced), st.binary(max_size=300)
    )


def _spliced(recipe: tuple[bytes, list]) -> bytes:
    content, changes = recipe
    for place, length, replacement in changes:
        place %= len(content) + 1
        content = content[:place] + replacement + content[place + length :]
    return content


def too_slow(number, frame):
    raise TimeoutError(f"a reader took more than {SECONDS} s")


def outcomes(reader: str, inputs: int) -> collections.Counter:
    """Feed a reader; anything but a result or a UserError is raised."""
    read, ending, good = READERS[reader]
    path = f"input{ending}"
    count = collections.Counter()

    # No database and a fixed start: each run tries the same inputs.
    @settings(
        max_examples=inputs,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(good()))
    def feed(content: bytes) -> None:
        Path(path).write_bytes(content)
        signal.alarm(SECONDS)
        try:
            read(path)
            count["read"] += 1
        except UserError as error:
            assert str(error)
            count["refused"] += 1
        finally:
            signal.alarm(0)

    before = signal.signal(signal.SIGALRM, too_slow)
    try:
        feed()
    finally:
        signal.signal(signal.SIGALRM, before)
    return count


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the files that GOOD_CONFIG names."""
    monkeypatch.chdir(tmp_path)
    Path("label_color").write_bytes(BOOK_TABLE)
    # The demo data of a configuration that happens to name them would take ten seconds.
    monkeypatch.setattr(config, "ensure_configured_demo_data", lambda path: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield tmp_path


@pytest.mark.parametrize("reader", READERS)
def test_changed_files_are_read_or_refused(folder, reader, capfd):
    count = outcomes(reader, SHORT)
    assert count["refused"] > 0
    assert count["read"] > 0 or reader == "weights"
    if reader not in ("image", "label"):  # there, libpng and libjpeg print on their own
        assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_changed_files_are_read_or_refused_long(folder, reader, capsys):
    count = outcomes(reader, LONG)
    assert count.total() >= LONG
    with capsys.disabled():
        print(
            f"\n{reader}: {count.total():,} inputs, {count['read']:,} read, "
            f"{count['refused']:,} refused, 0 tracebacks, hangs or crashes"
        )


@pytest.mark.slow
def test_changed_snapshots_are_refused_long(small_data, capsys):
    """A snapshot is more than weights: each of 1,000 changes must be noticed."""
    run = TinyRun(small_data)
    run.here("--set", "training_params.epochs=1")
    (path,) = run.snapshots()
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    os.remove(path)
    for _ in range(1000):
        changed = bytearray(content)
        changed[rng.integers(0, len(content))] ^= 1 << rng.integers(0, 8)
        path.write_bytes(changed)
        with pytest.raises(UserError, match=r"no snapshot .* is usable|is no usable"):
            from training.snapshots import restore

            restore(str(path), _trainer(), {})
    with capsys.disabled():
        print("\nsnapshot: 1,000 flipped bits, 1,000 noticed")


def _trainer():
    """As much of a trainer as restore() needs before it reads the file."""
    from types import SimpleNamespace

    optimizer = SimpleNamespace(target=small_model())
    updater = SimpleNamespace(get_optimizer=lambda name: optimizer)
    return SimpleNamespace(updater=updater)
