"""Who touches memory that is not his: every access of guest code to the allocator's memory, judged as it happens.

    with Sanitizer(subject) as sanitizer: ...         # Trial(subject).run(operations, sanitize=True) does this
    run_client(subject, client, "main")               # a client of the allocator, in guest code

        sanitizer   what is judged, and what it is called         report    what a person reads of it
        explain     from a stop to a report: backtraces of now    client    guest code that uses an allocator
                    and, by running once more, of then
"""

from .sanitizer import Sanitizer, sanitized

__all__ = ["Sanitizer", "sanitized"]
