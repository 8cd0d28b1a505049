"""The conformance suite: what every allocator can be asked, graded.

    suite(kind) ── Check ── Bench ── Trial ── oracles        basics, completeness, load, harts, behaviour
         └── grade(bench) -> Grades ── table, JSON, JUnit     grading, report, junit
"""
