"""Benchmarks: `python -m benchmarks.swap`."""
