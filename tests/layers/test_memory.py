"""A step of a network runs in the memory of the step before it."""

import platform
import subprocess
import sys

import pytest

# Page faults of a second forward and backward pass over 40 MB. Huge pages would hide them.
PROGRAM = """
import ctypes, resource
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
import chainer_compat, chainer
import numpy as np
import layers.functions as F

x = chainer.Variable(np.ones((10, 1000, 1000), np.float32))

def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    x.cleargrad()
    y = F.elu(x)
    y.grad = x.array
    y.backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

step()
print(step())
"""
PAGES = 40_000_000 // 4096  # of one array of 40 MB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_a_second_step_touches_no_new_memory():
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, capture_output=True, check=True)
    assert int(run.stdout) < PAGES / 10  # without the setting: over PAGES * 2
