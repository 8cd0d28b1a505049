"""Processes: user programs on the kernel's memory (Linux's model, by OSTD's means).

        Process ── AddressSpace ── VmSpace, areas        what it may touch
           │
        Task ── kernel stack ── TrapFrame                 a thread of it, and where it is
           │
        Scheduler                                         which task each CPU runs

What a program's memory holds, its page tables and its tasks' trap frames are in emulated memory; areas, tasks
and open files are the kernel's policy, and Python's.
"""
