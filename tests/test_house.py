"""Each module imports only from its own folder and from the floors below it, without a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From top to bottom. A name is a folder or a module at the top level.
FLOORS = [
    ["benchmarks"],
    [
        "prepare",
        "train",
        "predict",
        "cross_validate",
        "export",
        "learn",
        "data_check",
        "visualizer",
    ],
    ["learning"],
    ["exporting"],
    ["preparing"],
    ["training"],
    ["evaluation"],
    ["fcn_squeeze", "mini_batch_loader", "config"],
    ["evaluator", "image_normalizer"],
    ["dataset"],
    ["layers"],
    ["files"],
    ["chainer_compat"],
]
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}


def modules() -> dict[str, Path]:
    """{dotted name: file} of the product; a package counts by its __init__.py."""
    paths = [path for path in ROOT.glob("*.py")]
    for name in FLOOR_OF:
        paths += (ROOT / name).rglob("*.py")
    return {dotted(path.relative_to(ROOT)): path for path in paths}


def dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = modules()


def named(path: Path) -> set[str]:
    """The modules that a file names in an import, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports here are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in MODULES else node.module)
    return found


NAMED = {name: named(path) for name, path in MODULES.items()}
IMPORTS = {name: found & set(MODULES) for name, found in NAMED.items()}


def floor(name: str) -> int:
    return FLOOR_OF[name.partition(".")[0]]


def test_every_module_at_the_top_level_has_its_floor():
    assert {name for name in MODULES if "." not in name} == set(FLOOR_OF)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_name_modules_that_exist(name):
    """Those inside of functions, too, which run only where an extra is installed."""
    own = {other for other in NAMED[name] if other.partition(".")[0] in FLOOR_OF}
    assert own <= set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name):
    room = name.partition(".")[0]
    for other in IMPORTS[name]:
        is_peer = other.partition(".")[0] == room
        assert is_peer or floor(other) > floor(name), f"{name} imports {other}"


def test_no_module_imports_itself_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def imports_chainer(path: Path) -> bool:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
    return any(name.split(".")[0] == "chainer" for name in names)


@pytest.mark.parametrize(
    "name", sorted(name for name, path in MODULES.items() if imports_chainer(path))
)
def test_chainer_compat_is_imported_before_chainer(name):
    """By the module, or once for all modules of its folder."""
    folder = name.partition(".")[0]
    assert (
        name == "chainer_compat" or "chainer_compat" in IMPORTS[name] | IMPORTS[folder]
    )


def test_the_top_level_holds_the_chapters_files_and_the_programs():
    assert len(list(ROOT.glob("*.py"))) <= 14


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_function_has_at_most_70_lines(name):
    """train.py's main() above all, which reads like a table of contents."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    long = [f.name for f in functions if f.end_lineno - f.lineno >= 70]
    assert not long


@pytest.mark.parametrize(
    ("name", "most"),
    [("train.py", 200), ("mini_batch_loader.py", 200), ("README.md", 150)],
)
def test_what_a_newcomer_reads_first_is_short(name, most):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most
