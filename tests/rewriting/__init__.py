"""Random programs aimed at single rules of the simplifier: what a rule makes of a program has to be what it was."""
