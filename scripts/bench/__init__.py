"""Benchmarks: `python -m scripts.bench NAME …` from the root of the repository, or `make bench`."""
