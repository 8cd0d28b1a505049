"""How the kernel boots: the stages are a table of contents in stages.py."""
