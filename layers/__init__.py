"""The network's layers, fast on a CPU, and its losses."""

import chainer_compat

from layers import memory

memory.keep_freed_memory()
