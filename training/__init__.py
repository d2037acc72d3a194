"""Continuous training of the code model will live here; nothing of it is built yet."""
