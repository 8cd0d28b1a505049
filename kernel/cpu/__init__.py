"""The CPUs as the kernel uses them: making a hart do what only a hart can do, and hearing of its traps."""
