"""User programs: source, manifest, expected output and built ELF of each. A data package, no Python logic."""
