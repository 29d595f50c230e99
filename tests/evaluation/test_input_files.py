"""Which files an argument stands for, and whether results stay apart from each other and from inputs."""

import os
from pathlib import Path

from evaluation.input_files import RESULTS, find_inputs


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found_names(arguments, output) -> list[str]:
    inputs, problems = find_inputs([str(a) for a in arguments], str(output))
    assert not problems
    return [os.path.basename(item.path) for item in inputs]


def test_a_folder_stands_for_its_photos_and_videos(tmp_path):
    folder = tmp_path / "in"
    touch(folder / "b.JPG", folder / "a.png", folder / "clip.mp4", folder / "notes.txt")
    touch(folder / ".hidden.png", folder / "deep" / "c.tif")
    names = found_names([folder], tmp_path / "out")
    assert names == ["a.png", "b.JPG", "clip.mp4", "c.tif"]


def test_labels_beside_their_images_are_no_photos(tmp_path):
    touch(tmp_path / "in" / "a.png", tmp_path / "in" / "a_L.png")
    touch(tmp_path / "in" / "alone_L.png")
    assert found_names([tmp_path / "in"], "out") == ["a.png", "alone_L.png"]


def test_a_file_named_twice_is_done_once(tmp_path):
    touch(tmp_path / "a.png")
    assert found_names([tmp_path / "a.png", tmp_path], tmp_path / "out") == ["a.png"]


def test_results_are_not_taken_for_inputs(tmp_path):
    touch(tmp_path / "a.png", tmp_path / "out" / "a_color.png")
    assert found_names([tmp_path], tmp_path / "out") == ["a.png"]


def test_results_of_a_subfolder_go_into_a_subfolder(tmp_path):
    touch(tmp_path / "in" / "deep" / "a.png")
    (item,), _ = find_inputs([str(tmp_path / "in")], "out")
    assert item.target == os.path.join("out", "deep", "a")


def test_inputs_of_one_name_do_not_share_results(tmp_path):
    paths = [
        tmp_path / "1" / "a.png",
        tmp_path / "2" / "a.png",
        tmp_path / "2" / "A.jpg",
    ]
    touch(*paths)
    inputs, _ = find_inputs([str(path) for path in paths], "out")
    targets = [item.target for item in inputs]
    assert [os.path.basename(target) for target in targets] == ["a", "a-2", "A-3"]
    assert [item.is_renamed for item in inputs] == [False, True, True]


def test_results_never_stand_where_an_input_stands(tmp_path):
    touch(tmp_path / "a.png", *(tmp_path / f"a{ending}" for ending in RESULTS))
    inputs, _ = find_inputs([str(tmp_path)], str(tmp_path))
    paths = {item.path for item in inputs}
    results = {item.target + ending for item in inputs for ending in RESULTS}
    assert len(paths) == 1 + len(RESULTS)
    assert not paths & results


def test_a_missing_file_and_an_empty_folder_are_problems(tmp_path):
    (tmp_path / "empty").mkdir()
    inputs, problems = find_inputs(
        [str(tmp_path / "empty"), str(tmp_path / "none.png")], "out"
    )
    assert not inputs
    assert "no photo or video in this folder" in problems[0]
    assert "none.png: no such file or folder" in problems[1]
