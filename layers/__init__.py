"""The network's layers, fast on a CPU, and its losses."""

from layers import memory

memory.keep_freed_memory()
