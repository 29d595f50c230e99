"""No file depends on the system's encoding or line ends."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

from dataset import demo_data

FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not {"tests", ".venv"} & set(path.relative_to(ROOT).parts)
    and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def texts_without_encoding(path: Path) -> list[int]:
    """Lines that open a file as text, and leave the encoding to the system."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
        is_binary = any(isinstance(m, str) and "b" in m for m in modes)
        is_open = isinstance(node.func, ast.Name) and name == "open" and not is_binary
        # pathlib's; this project's own functions of these names always take UTF-8.
        is_pathlib = (
            isinstance(node.func, ast.Attribute)
            and name in ("read_text", "write_text")
            and getattr(node.func.value, "id", "") != "whole_file"
        )
        if is_open or is_pathlib:
            lines += [node.lineno] * ("encoding" not in [k.arg for k in node.keywords])
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_files_are_opened_with_an_encoding(path):
    assert texts_without_encoding(path) == []


def test_demo_lists_and_table_have_the_same_bytes_on_all_systems(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_text", lambda *a, **k: pytest.fail("as text"))
    demo_data.write_scenes(tmp_path / "demo", 0, {"train": 1})
    list_ = (tmp_path / "demo" / "train_image_pointer").read_bytes()
    assert list_ == b"demo_0000.png\n"
    assert b"\r" not in (tmp_path / "demo" / "label_color").read_bytes()
