"""The simulated device: execution of programs, their verification, device files and counters.

``machine.Machine`` executes a program; the module itself imports nothing, so that listing devices stays fast.
"""
