"""Loads the CUDA libraries that are installed as wheels; chainer_compat calls it before CuPy.

CuPy 13 looks for CUDA where the machine's owner put it, or along LD_LIBRARY_PATH. A library
that the process has loaded already is found by its name, wherever it came from.
"""

import ctypes
import glob
import importlib.util
import os

# In the folder of NVIDIA's wheels, each after those it needs; the versions are the ones that
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


def preload() -> None:
    """Load what there is of them; nothing where CuPy or the wheels are not installed."""
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
