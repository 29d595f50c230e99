"""Finds out what a folder of photos and labels holds, and writes lists and a configuration; for prepare.py."""
