"""Lets Chainer 7.8.1 import and run on NumPy 2 and Python 3.12+; import it before chainer.

The ``__init__.py`` of a folder that needs Chainer throughout does it for all modules in it.

Chainer's last release is from 2022. What it needs and no longer finds is put back here, each
name only where it is missing, so that the module does nothing on an old installation:

* ``numpy.sctypes``, ``numpy.float``, ``numpy.product`` and the other aliases that NumPy 1.24
  and 2.0 removed;
* ``numpy.distutils.system_info``, which Chainer asks for macOS's BLAS (gone in Python 3.12);
* ``pkg_resources``, with which it compares CuPy's version (gone from setuptools 82);
* the CUDA libraries that CuPy 13 needs, where they are installed as wheels.
"""

import ctypes
import glob
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import types
import warnings

import numpy

_ALIASES = {
    "float": float,
    "int": int,
    "bool": bool,
    "object": object,
    "product": numpy.prod,
    "sctypes": {
        "int": [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
        "uint": [numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64],
        "float": [numpy.float16, numpy.float32, numpy.float64],
        "complex": [numpy.complex64, numpy.complex128],
        "others": [bool, object, bytes, str, numpy.void],
    },
}

# In the folder of NVIDIA's wheels, each after the ones it needs; the versions are those that
# CuPy 13 for CUDA 12 is linked to.
_LIBRARIES = (
    "nvjitlink/lib/libnvJitLink.so.12",
    "cublas/lib/libcublasLt.so.12",
    "cublas/lib/libcublas.so.12",
    "cuda_runtime/lib/libcudart.so.12",
    "cuda_nvrtc/lib/libnvrtc-builtins.so.12*",
    "cuda_nvrtc/lib/libnvrtc.so.12",
    "cufft/lib/libcufft.so.11",
    "curand/lib/libcurand.so.10",
    "cusparse/lib/libcusparse.so.12",
    "cusolver/lib/libcusolver.so.11",
    "cudnn/lib/libcudnn*.so.8",
    "nccl/lib/libnccl.so.2",
)


def _restore_numpy_aliases() -> None:
    for name, value in _ALIASES.items():
        # vars(), not hasattr(): NumPy 1.26 warns or raises on a look-up of a removed name.
        if name not in vars(numpy):
            setattr(numpy, name, value)


def _exists(module: str) -> bool:
    """Whether a module can be imported; imports it, without the warning that it is old."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
        return True
    except ImportError:
        return False


def _restore_numpy_distutils() -> None:
    if _exists("numpy.distutils.system_info"):
        return
    distutils = types.ModuleType("numpy.distutils")
    system_info = types.ModuleType("numpy.distutils.system_info")
    system_info.get_info = lambda name: {}
    distutils.system_info = system_info
    numpy.distutils = distutils
    sys.modules["numpy.distutils"] = distutils
    sys.modules["numpy.distutils.system_info"] = system_info


def _restore_pkg_resources() -> None:
    if _exists("pkg_resources"):
        return

    class DistributionNotFound(Exception):
        pass

    class VersionConflict(Exception):
        pass

    def require(requirement: str) -> None:
        try:
            importlib.metadata.version(requirement)
        except importlib.metadata.PackageNotFoundError:
            raise DistributionNotFound(requirement) from None

    stand_in = types.ModuleType("pkg_resources")
    stand_in.DistributionNotFound = DistributionNotFound
    stand_in.VersionConflict = VersionConflict
    stand_in.require = require
    sys.modules["pkg_resources"] = stand_in


def _load_cuda_wheels() -> None:
    """Load the CUDA libraries that are installed as wheels; none where CuPy is not installed.

    CuPy 13 looks for them in the system's folders and along LD_LIBRARY_PATH only. A library
    that the process has loaded before is found by its name, wherever its file is.
    """
    if not _folders("cupy"):  # 0.1 ms, for those who train on the CPU
        return
    for folder in _folders("nvidia"):
        for library in _LIBRARIES:
            for path in sorted(glob.glob(os.path.join(folder, library))):
                try:
                    ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
                except OSError:
                    pass  # CuPy gives the reason when the library is used


def _folders(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec else []


def install() -> None:
    """Put back what Chainer needs; called once, when this module is imported."""
    # Chainer would compare CuPy's version with its own list of 2022, which knows no CuPy 13.
    os.environ.setdefault("CHAINER_WARN_VERSION_MISMATCH", "0")
    _restore_numpy_aliases()
    _restore_numpy_distutils()
    _restore_pkg_resources()
    _load_cuda_wheels()


install()
