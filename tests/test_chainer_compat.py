import subprocess
import sys

import chainer_compat

import chainer
import chainer.functions as F
import numpy as np


def run_python(code: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_chainer_imports_and_trains_without_a_warning():
    result = run_python(
        "import chainer_compat, chainer, numpy\n"
        "link = chainer.links.Convolution2D(1, 1, 3)\n"
        "optimizer = chainer.optimizers.Adam().setup(link)\n"
        "x = numpy.ones((1, 1, 3, 3), 'f')\n"
        "optimizer.update(lambda x: chainer.functions.sum(link(x)), x)\n"
    )
    assert result.returncode == 0 and result.stderr == ""


def test_resize_images_works_although_numpy_has_no_float_any_more():
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    y = F.resize_images(x, (3, 3)).array
    np.testing.assert_allclose(y[0, 0], [[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]])


def test_orthogonal_initializer_works_although_numpy_has_no_product_any_more():
    W = chainer.initializers.generate_array(
        chainer.initializers.Orthogonal(scale=1), (2, 3), np
    )
    np.testing.assert_allclose(W @ W.T, np.eye(2), atol=1e-6)


def test_names_that_exist_are_left_alone():
    result = run_python(
        "import numpy\nnumpy.product = 'mine'\nimport chainer_compat\nprint(numpy.product)"
    )
    assert result.stdout.strip() == "mine"


def test_stand_in_for_pkg_resources_tells_what_is_installed():
    result = run_python(
        "import sys\nsys.modules['pkg_resources'] = None\n"
        "import chainer_compat\nimport pkg_resources\n"
        "pkg_resources.require('numpy')\n"
        "try:\n    pkg_resources.require('no-such-package')\n"
        "except pkg_resources.DistributionNotFound as e:\n    print('missing', e)\n"
    )
    assert result.stdout.strip() == "missing no-such-package"


def test_cuda_libraries_of_wheels_are_loaded_for_cupy(tmp_path):
    # Stand-ins: a package cupy, and any shared library under the name of NVIDIA's.
    (tmp_path / "cupy").mkdir()
    libraries = tmp_path / "nvidia" / "cuda_runtime" / "lib"
    libraries.mkdir(parents=True)
    (libraries / "libcudart.so.12").write_text("not a library")
    code = (
        "import ctypes, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "loaded = []\n"
        "def load(path, mode):\n    loaded.append(path)\n    raise OSError('not a library')\n"
        "ctypes.CDLL = load\n"
        "import chainer_compat\n"
        "print(*loaded)\n"
    )
    result = run_python(code)
    assert result.stdout.strip() == str(libraries / "libcudart.so.12")
