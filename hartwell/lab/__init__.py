"""The allocator lab: what an allocator does, judged from outside, on emulated hardware.

    subject = load_subject("buddy", harts=2)             # what is tested: an ELF, or a Python class
    outcome = Trial(subject).run(operations)             # what it did, and what the oracles say of it

        operation ── subject ── oracle ── trial          every other room of the lab stands on these
"""
