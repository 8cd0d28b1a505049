"""Races: what several threads do to shared memory, in every order that a bounded search reaches.

        system      what is searched: threads that stop before each access (harts, or tasks of the Python kernel)
        exhaustive  ┐
        walks       ├ strategies: which executions are tried
        find        ┘ the first that ends badly, made short
        listing, replay   how it is shown and kept
"""
