"""Toy street scenes with exact labels, for the demo data."""
