"""Writes a web page that applies an exported model in the visitor's browser; export.py calls it.

The page itself is in web_page/. Beside it come the model and ONNX Runtime Web, packed into
scripts: browsers let a page opened from the disk load scripts, but no other files.
"""

import base64
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from dataset.label_table import LabelTable
from files import whole_file
from files.errors import UserError

_PAGE = Path(__file__).resolve().parent / "web_page"
_PACKAGE, _VERSION = "onnxruntime-web", "1.30.0"
_MODULE = "package/dist/ort.wasm.bundle.min.mjs"
_WASM = "package/dist/ort-wasm-simd-threaded.wasm"
# index.html last: where it is, the page is whole.
PAGE_FILES = (
    *("model.js", "runtime.js", "onnxruntime-license.txt"),
    *("page.css", "page.js", "index.html"),
)


def write_web_page(
    folder: str, model_path: str, in_ch: int, table: LabelTable, weights_sha256: str
) -> None:
    """Write a static page that needs no network and no server: PAGE_FILES.

    Args:
        folder: where to; made if missing.
        model_path: an ONNX file, as ``onnx_graph.photo_graph()`` makes it.
        in_ch: channels of its photos.
        table: names and colours of its classes.
        weights_sha256: shown on the page.

    Raises:
        UserError: npm is missing or cannot get ONNX Runtime Web, or the disk is full.
    """
    values = {
        "names": list(table.names),
        "colors": table.colors.tolist(),
        "in_ch": in_ch,
        "weights_sha256": weights_sha256,
        "onnx": _base64(Path(model_path).read_bytes()),
    }
    module, wasm = fetch_runtime()
    runtime = {"version": _VERSION, "module": module.decode(), "wasm": _base64(wasm)}
    texts = {
        "model.js": _script("MODEL", values),
        "runtime.js": _script("RUNTIME", runtime),
    }
    for name in PAGE_FILES:
        text = texts.get(name) or (_PAGE / name).read_text(encoding="utf-8")
        whole_file.write_text(os.path.join(folder, name), text)


def _script(name: str, values: dict) -> str:
    # Plain ASCII: what the page's encoding is does not matter.
    return f"const {name} = {json.dumps(values)};\n"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def find_npm() -> str:
    """Path of the program npm.

    Raises:
        UserError: it is not installed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"--web: npm is not installed, and the page needs the npm package {_PACKAGE}; "
            "install Node.js, which brings npm, and try again"
        )
    return npm


def fetch_runtime() -> tuple[bytes, bytes]:
    """ONNX Runtime Web from the npm registry: its JavaScript module and its WebAssembly.

    Raises:
        UserError: npm is missing, or fails.
    """
    npm = find_npm()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [npm, "pack", f"{_PACKAGE}@{_VERSION}", "--silent"],
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
        )
        archives = [name for name in os.listdir(folder) if name.endswith(".tgz")]
        if done.returncode or len(archives) != 1:
            reason = " ".join(done.stderr.split())[-300:] or "no reason given"
            raise UserError(
                f"--web: 'npm pack {_PACKAGE}@{_VERSION}' failed: {reason}; is there a network?"
            )
        with tarfile.open(os.path.join(folder, archives[0])) as archive:
            # Read, not unpacked: no name in the archive can lead out of the folder.
            module, wasm = (archive.extractfile(name) for name in (_MODULE, _WASM))
            return module.read(), wasm.read()
