"""Cost and fragmentation: what an allocator takes, in cycles and in memory, measured from outside.

        Trial ──> operations, results ──> distributions   cycles, instructions and misses of each call
                          │                worst           the dearest call, and the shortest way to it
                          └──> history ──> fragmentation   who has which page when: indices over virtual time
                                           waste           what could still be had at the peak

    report = measure(subject, ["random"], count=10_000, seed=1)
    report.to_json(), compare(report_a, report_b, …)

Everything is virtual time and counts of the modelled hart; nothing depends on the host.
"""

from .measure import Report, Workloaded, measure

__all__ = ["Report", "Workloaded", "measure"]
