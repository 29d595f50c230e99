"""Speed of the network beside other engines, and the worth of each ingredient of the recipe."""

import chainer_compat
