"""The bilinear kernel interpolates."""

import numpy as np

from learning import kernels


def test_a_bilinear_kernel_interpolates_a_ramp():
    ramp = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    large = kernels.enlarged(ramp, kernels.bilinear_kernel(16, 4), stride=4, pad=6)
    assert large.shape == (32, 32)
    # Output pixel X lies at (X - 1.5) / 4 of the small picture.
    wanted = (np.arange(8, 24) - 1.5) / 4
    np.testing.assert_allclose(large[16, 8:24], wanted, atol=1e-5)
