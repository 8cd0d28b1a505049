"""The lab's results for people: lines for terminals, and pages for browsers."""
