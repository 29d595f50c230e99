"""What only shows in many runs, many epochs or many images; uv run pytest -m slow prints the figures."""

import ctypes
import functools
import gc
import os
import re
import shutil
import sys
import time

import numpy as np
import pytest
from tiny_run import (
    TinyRun,
    die_at_write,
    peak_memory,
    undisturbed_results,
    wait,
)

import train
from training import loop, progress

IMAGES = 100_000
EPOCHS = 300
KILLS = 100
KILLED = -9


def link_many(run: TinyRun, count: int) -> None:
    """Make the training list longer by hard links; a file can have some 65,000 of them."""
    images = run.data.images
    for i in range(count):
        source = images / f"train_{i % 5}"
        os.link(f"{source}.png", images / f"link_{i}.png")
        os.link(f"{source}_L.png", images / f"link_{i}_L.png")
    names = "".join(f"link_{i}.png\n" for i in range(count))
    (run.data.folder / "train_pointer").write_text(names)


def seconds_to_first_iteration(arguments: list[str]) -> float:
    """Train until the first iteration is done."""

    class FirstIteration(Exception):
        pass

    def stop(updater) -> None:
        update(updater)
        raise FirstIteration

    update = loop.Updater.update_core
    loop.Updater.update_core = stop
    start = time.monotonic()
    try:
        train.main(arguments)
    except FirstIteration:
        return time.monotonic() - start
    raise AssertionError("no iteration")


@pytest.mark.slow
def test_list_of_100_000_images_starts_soon_and_takes_little_memory(small_data, capsys):
    run = TinyRun(small_data)
    link_many(run, IMAGES)
    seconds, memory = peak_memory(seconds_to_first_iteration, run.arguments())
    with capsys.disabled():
        print(
            f"\n{IMAGES:,} images: first iteration after {seconds:.1f} s, "
            f"{memory} MiB more than the program itself"
        )
    assert seconds < 10
    assert memory < 600 - 200  # Python with Chainer and OpenCV takes 150 to 200


def record_growth() -> None:
    """Print memory and open files after each epoch."""
    draw = progress.Curves.__call__
    libc = ctypes.CDLL(None)

    def draw_and_record(curves, trainer):
        draw(curves, trainer)
        # What free() has kept is no leak: drawing and training cut it up for each other.
        gc.collect()
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)
        files = len(os.listdir("/proc/self/fd"))
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        print(f"memory {pages * os.sysconf('SC_PAGESIZE') >> 10} KiB, {files} files")

    progress.Curves.__call__ = draw_and_record


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_300_epochs_do_not_grow(small_data, capsys):
    run = TinyRun(small_data, training_params={"epochs": EPOCHS, "snapshot_epochs": 50})
    assert wait(run.start(prepare=record_growth), 3600) == 0, run.output
    lines = re.findall(r"memory (\d+) KiB, (\d+) files", run.output)
    memory, files = np.array(lines, int).T
    assert len(memory) == EPOCHS
    early, late = np.median(memory[20:70]) / 1024, np.median(memory[-50:]) / 1024
    with capsys.disabled():
        print(
            f"\n{EPOCHS} epochs: {early:.0f} MiB in epochs 21 to 70, {late:.0f} MiB in the "
            f"last 50; open files {files[20]} and {files[-1]}"
        )
    assert late - early < 10
    assert files[20:].max() <= files[20]


@pytest.mark.slow
def test_killed_a_hundred_times_long(small_data, capsys):
    """At every tenth write or so of the run, and at moments that fall between writes."""
    expected = undisturbed_results()
    rng = np.random.default_rng(0)
    kills = runs = 0
    while kills < KILLS:
        run = TinyRun(small_data)
        shutil.rmtree(run.out, ignore_errors=True)
        code = None
        while code != 0:
            if rng.random() < 0.5:
                moment = int(rng.integers(1, 1300))
                prepare = functools.partial(die_at_write, moment)
                code = run.finish("--resume", prepare=prepare)
            else:
                process = run.start("--resume")
                process.join(rng.uniform(0, 2))
                process.kill()
                code = wait(process)
            assert code in (0, KILLED), run.output
            kills += code == KILLED
        assert run.results() == expected
        assert run.leftovers() == []
        runs += 1
    with capsys.disabled():
        print(
            f"\n{kills} kills in {runs} runs of 4 epochs: {runs} with the same bytes, 0 leftovers"
        )


def test_list_of_10_000_images_starts_soon(small_data):
    """The short form, which a loop over all files in each epoch would already fail."""
    run = TinyRun(small_data)
    link_many(run, IMAGES // 10)
    seconds, memory = peak_memory(seconds_to_first_iteration, run.arguments())
    assert seconds < 10
    assert memory < 600 - 200
