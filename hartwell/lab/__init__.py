"""The allocator lab: what an allocator does, judged from outside, on emulated hardware.

    with load_subject("buddy", Setting(harts=2)) as subject:       # what is tested: an ELF, or a Python class
        outcome = Trial(subject).run(operations)                   # what it did, and what the oracles say of it

The rooms, each on the floor above what it needs:

        conformance  graded checks      search     the shortest failure, replays      fault     memory out, flips
        examination  all of it at once  cost       cycles, fragmentation, waste       hunt      tries everything
        race         interleavings      campaign   thousands of trials, all cores     report    lines and pages
        ------------------------------------------------------------------------------------------------------
        trial        operations under the oracles      facade    the same for tests, call by call
        hang         why a call does not come back     template  what `hartwell lab new` writes
        ------------------------------------------------------------------------------------------------------
        workload     operations by name and seed       oracle    shadow, contents, conservation, promises
        sanitizer    every access judged
        ------------------------------------------------------------------------------------------------------
        subject      an allocator in a machine         operation, finding, errors    what all speak of

An allocator that is wrong is a Finding, never an exception; exceptions (`errors`) are about the lab's own use.
"""
