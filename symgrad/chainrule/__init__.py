"""The chain rule told: derivations step by step, and where a node of a gradient comes from.

In: a loss and what it is differentiated by. Out: `sg.derivation`, `expr.why()`. It must not know what is compiled.
"""
