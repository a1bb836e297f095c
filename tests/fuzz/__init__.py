"""Random graphs against the oracle, and against themselves: `make fuzz MINUTES=10 SEED=0`.

program.py    a program as data: lines of source, inputs, outputs, updates
generate.py   seed -> program: values with samples, bent into domains
rows.py       calls of operators, drawn from the registry and its rows' own cases
templates.py  calls of the user's vocabulary: slices, joins, regions, derivatives
variants.py   the ways to compile that must not change a bit
referee.py    what is compared with what, within which bound
shrink.py     a failing program -> a small one
worker.py     a process that may crash
__main__.py   long runs, with a log
regressions/  what was found
"""
