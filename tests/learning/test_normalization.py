"""The light of the photos, and their histograms."""

import numpy as np

from learning import normalization


def test_a_bright_photo_is_clipped_and_a_dark_one_is_not():
    photo = np.array([[[0], [100], [200]]], np.uint8)
    lights = normalization.lights(photo)
    assert lights["dark"].ravel().tolist() == [0, 40, 80]
    assert lights["bright"].ravel().tolist() == [50, 170, 255]


def test_a_histogram_counts_what_lies_outside_in_its_outer_bins():
    shares = normalization.histogram(np.array([-9.0, -9.0, 0.1, 9.0]))
    assert (shares[0], shares[16], shares[31]) == (1.0, 0.5, 0.5)
    assert sum(shares) == 2.0
