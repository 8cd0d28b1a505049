"""The lab's guest code: allocators, planted bugs and the driver, sources and built ELFs."""
