"""A disk that is full, a folder that cannot be written, a file that vanishes: an error with its path."""

import errno
import functools
import os
import subprocess

import numpy as np
import pytest
from run_logs import log_of
from tiny_run import TinyRun, limit_file_size, peak_memory, undisturbed_results

import train
from evaluation.figures import draw_curves
from files import weights, whole_file
from files.errors import UserError
from files.npz_reader import read_npz
from files.png_writer import write_png


@pytest.fixture
def run(small_data):
    return TinyRun(small_data)


def test_failing_write_names_the_path_and_leaves_the_snapshots_before(run):
    """A snapshot has 11 MB, a model 3: with room for 5, the first snapshot fails."""
    prepare = functools.partial(limit_file_size, 5_000_000)
    assert run.finish(prepare=prepare) == 2
    *_, last = run.output.splitlines()
    path = run.out / "snapshot_iteration_00000003.npz"
    assert last.startswith(f"error: cannot write {path}: File too large")
    assert "Traceback" not in run.output
    assert run.leftovers() == []
    assert run.here("--resume") == 0
    assert run.results() == undisturbed_results()


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_nth_file_that_cannot_be_written(run, monkeypatch, number):
    """The n-th file in .npz format: model, best model and snapshot of each epoch."""
    files = 0
    original = np.savez

    def savez(path, **arrays):
        nonlocal files
        files += 1
        if files == number:
            with open(path, "wb") as file:
                file.write(b"half of")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(weights.np, "savez", savez)
        with pytest.raises(UserError, match=r"cannot write .*\.npz: No space left"):
            run.here()
    assert run.leftovers() == []
    for path in run.snapshots():
        read_npz(str(path), "--resume", 1 << 30, must_have_checksum=True)
    assert run.here("--resume") == 0
    assert run.results() == undisturbed_results()


def test_full_disk(run, tmp_path):
    """A real one: a file system of 30 MB, which the second snapshot fills."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs the rights of root")
    try:
        options = ["--set", f"output_path={disk}/result"]
        assert run.finish(*options) == 2
        assert f"error: cannot write {disk}/result/" in run.output
        assert "No space left on device" in run.output
        assert "Traceback" not in run.output
        (snapshot,) = (disk / "result").glob("snapshot_*.npz")
        assert run.here("--resume", str(snapshot)) == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    log, models = run.results()
    assert log == undisturbed_results()[0]
    assert models["fcn_final.npz"] == undisturbed_results()[1]["fcn_final.npz"]


def test_folder_that_turns_out_to_be_a_file(run):
    run.out.mkdir()
    (run.out / "model").touch()
    with pytest.raises(UserError, match=r"cannot write .*/model/fcn_1\.npz: "):
        run.here()


def test_image_that_vanishes_while_training_is_named(run, monkeypatch):
    def check_and_remove(*arguments):
        (run.data.images / "train_2.png").unlink()
        return "data"

    monkeypatch.setattr(train, "check_datasets", check_and_remove)
    with pytest.raises(UserError, match=r"train_2\.png: no such image file"):
        run.here()


PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
WRITERS = {
    "picture": lambda path: write_png(path, PICTURE),
    "figure": lambda path: draw_curves(log_of([0.1, 0.2]), path),
    "text": lambda path: whole_file.write_text(path, "a line\n" * 3000),
    "weights": lambda path: weights.write_npz(path, {"a": np.arange(5000)}, "{}"),
}


def _write_with_room_for(size: int, writer: str, path: str) -> str:
    limit_file_size(size)
    try:
        WRITERS[writer](path)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk_keeps_the_file_before(tmp_path, writer):
    path = tmp_path / "file.npz"
    WRITERS[writer](str(path))
    size = path.stat().st_size
    for room in (0, 1, 100, 4095, size // 2, size - 4096, size - 1):
        path.write_bytes(b"the file before")
        sentence, _ = peak_memory(_write_with_room_for, room, writer, str(path))
        assert sentence == (
            f"cannot write {path}: File too large; what was stored before is intact"
        ), room
        assert path.read_bytes() == b"the file before"
        assert os.listdir(tmp_path) == ["file.npz"]
    assert peak_memory(_write_with_room_for, size, writer, str(path))[0] == ""
    assert path.stat().st_size == size


def test_old_file_stays_when_the_new_one_cannot_be_written(tmp_path):
    path = tmp_path / "log"
    path.write_text("old")
    with (
        pytest.raises(UserError, match="cannot write"),
        whole_file.whole_file(str(path)) as temporary,
    ):
        with open(temporary, "w", encoding="utf-8") as file:
            file.write("ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["log"]
