"""Benchmarks: every module here with a ``measure()`` is found and run by ``python -m benchmarks``."""
