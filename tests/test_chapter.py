"""docs/chapter.md and its Japanese page: their commands are the experiments that were run, their links hold."""

import ast
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.experiments import FIGURES, VARIANTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / "chapter.md", ROOT / "docs" / "ja" / "chapter.md"]

pages = pytest.mark.parametrize("page", PAGES, ids=["english", "japanese"])


def commands(page: Path) -> list[list[str]]:
    """The words of each command of a page, those behind "uv run" and "python"."""
    code = re.findall(r"(?m)^    (.*)$", page.read_text(encoding="utf-8"))
    lines = "\n".join(code).replace("\\\n", "").splitlines()
    words = [shlex.split(line) for line in lines if line.startswith("uv run ")]
    return [w[3:] if w[2] == "python" else w[2:] for w in words]


@pages
@pytest.mark.parametrize("name", VARIANTS)
def test_the_command_of_each_experiment_is_the_one_that_was_run(page, name):
    run = Counter(VARIANTS[name].command("unused")[:-1])
    same = [
        words
        for words in commands(page)
        if Counter(w for w in words if not w.startswith("output_path=")) == run
    ]
    assert len(same) == 1


@pages
def test_each_training_has_a_folder_of_its_own(page):
    trainings = [
        " ".join(w) for w in commands(page) if "training_params.epochs=12" in w
    ]
    folders = [re.search(r"output_path=result/(\S+)", line)[1] for line in trainings]
    assert len(trainings) == len(set(folders)) == len(VARIANTS)


def defined(path: Path) -> set[str]:
    """The functions and classes of a module, and "Class.method"."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            names |= {f"{node.name}.{method.name}" for method in methods}
    return names


@pages
def test_the_functions_that_it_names_are_in_the_files_that_it_links_to(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\[`([\w.]+)`\]\(([^)#]+\.py)\)", text)
    assert len(links) > 20
    for name, path in links:
        assert name in defined(page.parent / path), f"{name} is not in {path}"


@pages
def test_each_picture_is_shown_once_and_none_is_missing(page):
    shown = re.findall(r"\((?:\.\./)?experiments/(\w+)\.png\)", page.read_text("utf-8"))
    assert sorted(shown) == sorted(FIGURES)
    there = {path.stem for path in (ROOT / "docs" / "experiments").glob("*.png")}
    assert there == set(FIGURES)


@pages
def test_each_section_has_an_experiment_and_a_question_with_its_answer(page):
    sections = page.read_text("utf-8").split("\n## ")[
        2:-1
    ]  # not the first and the last
    assert len(sections) >= 12
    for section in sections:
        assert re.search(r"(?m)^    uv run ", section), section.splitlines()[0]
        assert re.search(r"(?s)<summary>.*</summary>\n\n.*\n\n</details>", section)
