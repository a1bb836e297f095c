"""A second opinion on derivatives and on rounding, for tests that need one: it shares no rule with symgrad.

- `tape.gradients(loss, wrt, env)`: reverse mode over NumPy; `dual.tangent(outputs, env, directions)`: forward mode.
  Both take values from the interpreter and derivatives from `partials.py` and their own tables.
- `bound.bounded(outputs, env)`: values in float64, and for each element how far a compiled result may be off;
  `bound.refused(got, value, error)` compares. Give it the graph that is compiled: the simplified one, by default.

`env` maps symbols (or any other nodes) to arrays, and dimensions that no array shows to ints. A row in none of the
tables is an `UnplacedError`: whoever adds an operator places it.

In a float32 graph symgrad's gradient holds constants that are rounded to float32 (log 2, 2 / sqrt(pi)); the tape's are
exact. So compare gradients to many digits in float64 graphs, and those of float32 graphs to some 1e-6.
"""
