"""The run: loop, snapshots, processes, progress."""
