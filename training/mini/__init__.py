"""How the small trained pair was made: data from our own generators, a trimmed vocabulary, one training loop.

Nothing that serves imports this package.
"""
