"""Benchmarks of Hartwell: the figures behind every claim about speed and size. `python -m bench` runs them."""
