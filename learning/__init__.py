"""learn.html: figures of what the network does, computed from a trained model and a photo."""

import chainer_compat
