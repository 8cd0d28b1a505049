"""Timing: how many cycles a real core would have taken.

`Machine(board, timing=load_profile("rocket"))` counts cycles with a model of that core; without a
profile a cycle is an instruction, and nothing here is loaded but the events' numbers (`events`).
"""
