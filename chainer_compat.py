"""Lets Chainer 7.8.1 import and run on NumPy 2 and Python 3.12+; import it before chainer.

Chainer's last release is from 2022. What it misses on today's Python is put back here, each
name only where it is missing, so that the module does nothing on an old installation:

* ``numpy.sctypes``, ``numpy.float``, ``numpy.product`` and the other aliases that NumPy 1.24
  and 2.0 removed;
* ``numpy.distutils.system_info``, which Chainer asks for macOS's BLAS (gone in Python 3.12);
* ``pkg_resources``, with which it compares CuPy's version (gone from setuptools 82).

Chainer imports CuPy, so that the CUDA libraries CuPy needs are loaded here as well.
"""

import importlib
import importlib.metadata
import os
import sys
import types
import warnings

import numpy

import cuda_wheels

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


def install() -> None:
    """Put back what Chainer needs; called once, when this module is imported."""
    # Chainer would compare CuPy's version with its own list of 2022, which knows no CuPy 13.
    os.environ.setdefault("CHAINER_WARN_VERSION_MISMATCH", "0")
    _restore_numpy_aliases()
    _restore_numpy_distutils()
    _restore_pkg_resources()
    cuda_wheels.preload()


install()
