"""What one can ask of a compiled function: its code with labels, its costs, memory and times, every value on the way.

In: what a function was made from. Out: reports that print. It must not know how a function is called.
"""
