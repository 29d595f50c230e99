"""Whether the web page is whole, and finds in a browser what predict.py finds."""

import base64
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import chainer
import numpy as np
import pytest
from conftest import write_picture

from dataset.label_table import read_label_table
from evaluation.segmenter import Segmenter
from exporting import web_export
from fcn_squeeze import FCN
from files.errors import UserError
from files.opencv import cv2
from layers.device import choose_device

# Stands in for npm: packs two small files under the names that the package has.
_NPM = f"""#!{sys.executable}
import io, sys, tarfile
assert sys.argv[1:] == ["pack", "onnxruntime-web@1.30.0", "--silent"]
with tarfile.open("onnxruntime-web-1.30.0.tgz", "w:gz") as archive:
    for name, content in (
        ("package/dist/ort.wasm.bundle.min.mjs", "export default '</script>\\u00e9'".encode()),
        ("package/dist/ort-wasm-simd-threaded.wasm", bytes(range(256))),
    ):
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
"""
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def program(folder, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name).chmod(0o755)


def values_of(script) -> dict:
    return json.loads(script.read_text().partition(" = ")[2].rstrip(";\n"))


@pytest.fixture
def table(small_data):
    return read_label_table(small_data.folder / "label_color")


def test_the_page_holds_model_and_runtime(table, tmp_path, monkeypatch):
    program(tmp_path / "bin", "npm", _NPM)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "model.onnx").write_bytes(b"\0model\xff")
    folder = tmp_path / "new" / "page"
    web_export.write_web_page(
        str(folder), str(tmp_path / "model.onnx"), 1, table, "a1b2c3"
    )
    model = values_of(folder / "model.js")
    assert base64.b64decode(model.pop("onnx")) == b"\0model\xff"
    assert model == {
        "names": ["Sky", "Road", "Car"],
        "colors": [[128, 128, 128], [128, 64, 128], [64, 0, 128]],
        "in_ch": 1,
        "weights_sha256": "a1b2c3",
    }
    runtime = values_of(folder / "runtime.js")
    assert runtime["module"] == "export default '</script>é'"
    assert base64.b64decode(runtime["wasm"]) == bytes(range(256))
    assert {path.name for path in folder.iterdir()} == set(web_export.PAGE_FILES)
    page = (folder / "index.html").read_text()
    for name in set(web_export.PAGE_FILES) - {"index.html"}:
        assert f'"{name}"' in page


def test_the_page_names_no_other_site():
    for name in os.listdir(web_export._PAGE):
        with open(os.path.join(web_export._PAGE, name), encoding="utf-8") as file:
            assert not re.search(r"(https?:)?//\w", file.read()), name


def test_without_npm_the_page_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"npm is not installed.*install Node\.js"):
        web_export.find_npm()


def test_what_npm_complains_about_is_told(tmp_path, monkeypatch):
    program(tmp_path / "bin", "npm", "#!/bin/sh\necho 'no such host' >&2\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(UserError, match=r"npm pack onnxruntime-web.*no such host"):
        web_export.fetch_runtime()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what the page in the browser posts."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.answer = body
        self.server.has_answer.set()

    def log_message(self, *args):
        pass


# Does what a visitor does: chooses a file. Posts the classes, or the sentence of the error.
_VISITOR = """
const bytes = bytesOf("%s");
const choice = new DataTransfer();
choice.items.add(new File([bytes], "photo.png", { type: "image/png" }));
byId("file").files = choice.files;
byId("file").dispatchEvent(new Event("change"));
const timer = setInterval(() => {
  const problem = byId("error").textContent;
  if (!shown.classes && !problem) return;
  clearInterval(timer);
  fetch("http://127.0.0.1:%d/", { method: "POST", mode: "no-cors", body: problem || shown.classes });
}, 50);
"""


def visit(page, photo, profile) -> bytes:
    """Open a page from the disk in a browser, choose a photo, and give what it found."""
    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.has_answer = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        content = base64.b64encode(photo.read_bytes()).decode()
        visitor = f"<script>{_VISITOR % (content, server.server_port)}</script>"
        copy = page.with_name("visited.html")
        copy.write_text(page.read_text().replace("</body>", visitor + "</body>"))
        options = "--headless --no-sandbox --disable-gpu --no-first-run"
        options += (
            " --disable-background-networking --disable-component-update --disable-sync"
        )
        browser = subprocess.Popen(
            [_CHROMIUM, *options.split(), f"--user-data-dir={profile}", copy.as_uri()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert server.has_answer.wait(120), "the page gave no answer"
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
        return server.answer


@pytest.fixture(scope="module")
def runtime():
    try:
        return web_export.fetch_runtime()
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.skipif(_CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("in_ch", [3, 1])
def test_a_browser_finds_the_classes_of_predict(
    small_data, table, tmp_path, monkeypatch, runtime, in_ch
):
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
    from exporting import onnx_graph

    small_data.load(in_ch=in_ch, image_scale=0.5)
    np.random.seed(3)
    model = FCN(3, in_ch)
    settings = onnx_graph.PhotoSettings.from_config()
    onnx.save(onnx_graph.photo_graph(model, settings), str(tmp_path / "model.onnx"))
    folder = tmp_path / "page"
    monkeypatch.setattr(web_export, "fetch_runtime", lambda: runtime)
    web_export.write_web_page(
        str(folder), str(tmp_path / "model.onnx"), in_ch, table, "a1b2c3"
    )
    rng = np.random.default_rng(0)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (95, 131, 3), np.uint8), (9, 9), 2)
    write_picture(tmp_path / "photo.png", photo)
    answer = visit(folder / "index.html", tmp_path / "photo.png", tmp_path / "profile")
    if in_ch == 1:
        photo = np.atleast_3d(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    args = chainer.global_config.user_test_args
    expected = Segmenter(model, args, choose_device(-1)).classes(photo)
    assert len(answer) == expected.size, answer[:300]
    found = np.frombuffer(answer, np.uint8).reshape(expected.shape)
    assert len(np.unique(expected)) > 1
    assert np.count_nonzero(found != expected) <= 1
