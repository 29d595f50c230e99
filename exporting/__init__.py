"""A trained model for other engines: the ONNX graph, its check, and a web page that runs it."""

import chainer_compat
