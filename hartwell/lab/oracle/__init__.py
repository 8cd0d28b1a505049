"""Oracles: what is right and wrong, judged without asking the allocator."""
