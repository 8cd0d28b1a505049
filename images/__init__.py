"""Test images: RISC-V source, a manifest, the expected console and the built ELF of each. A data package, no Python logic."""
