"""Trains with another kernel and stride in the last deconvolution: python -m benchmarks.last_deconvolution

The experiment of docs/chapter.md on checkerboards; all options but --ksize and --stride are those of
train.py. predict.py cannot load these models: they are for comparing curves.
"""

import argparse
import sys

import train
from fcn_squeeze import FCN
from files.errors import run_program
from layers import links as L

STRIDES = 4, 8


def make_network(ksize: int, stride: int) -> type[FCN]:
    """FCN with another upsample_final.

    With stride 8, the three branches are joined at 1/8 of the photo's size instead of 1/4: pool1's
    scores are taken at every second place, the other two keep their size.

    Args:
        ksize (int): side of the kernel, at least ``stride`` and even like it; the padding, (ksize -
            stride) / 2, then gives the photo's size.
        stride (int): 4 or 8.
    """

    class Network(FCN):
        def __init__(self, n_class, in_ch, *args, **kwargs):
            super().__init__(n_class, in_ch, *args, **kwargs)
            n, pad = n_class, (ksize - stride) // 2
            links = {"upsample_final": L.Deconvolution2D(n, n, ksize, stride, pad)}
            if stride == 8:
                links["score_pool1"] = L.Convolution2D(96, n, 1, stride=2)
                for name in ("upsample_pool4", "upsample_pool9"):
                    links[name] = L.Deconvolution2D(n, n, 3, stride=1, pad=1)
            for name, link in links.items():
                delattr(self, name)  # Chainer puts no link in the place of another
                with self.init_scope():
                    setattr(self, name, link)

    return Network


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Train with another kernel and stride in the last deconvolution. "
        "All other options are those of train.py."
    )
    parser.add_argument("--ksize", type=int, required=True, help="even, >= stride")
    parser.add_argument("--stride", type=int, default=STRIDES[0], choices=STRIDES)
    arguments, rest = parser.parse_known_args()
    ksize, stride = arguments.ksize, arguments.stride
    if ksize % 2 or not stride <= ksize <= 32:
        parser.error(f"--ksize {ksize}: an even number from {stride} to 32")
    train.FCN = make_network(ksize, stride)
    return train.main(rest)


if __name__ == "__main__":
    sys.argv[0] = "python -m benchmarks.last_deconvolution"
    run_program(main)
