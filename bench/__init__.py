"""Measures what the project promises: `python -m bench.bench_<name>`."""
