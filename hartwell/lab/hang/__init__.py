"""Calls that do not come back: where they loop, and why.

    outcome = Trial(subject).run(operations)
    if outcome.findings[0].kind is FindingKind.HANG:
        print(explain_hang(subject, outcome.findings[0], operations))

        steps     what a hart does, instruction by instruction        loop     what of it is done again and again
        chain     the list that the loop walks along                  hang     all of it: explain_hang, and for clients
        lock      the word that it waits for, and who left it so      report   what people read
"""

from .hang import explain_client_hang, explain_hang, with_reports
from .report import HangReport

__all__ = ["HangReport", "explain_client_hang", "explain_hang", "with_reports"]
