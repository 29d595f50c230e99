"""The run: loop, snapshots, processes, progress."""

import chainer_compat
