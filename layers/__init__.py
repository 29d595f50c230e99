"""The network's layers, fast on a CPU, and its losses."""
