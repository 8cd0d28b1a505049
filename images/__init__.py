"""Test images: source, manifest, expected console and built ELF of each. A data package, no Python logic."""
