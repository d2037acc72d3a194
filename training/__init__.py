"""Continuous training of the code model: packed data, a trainer that survives, and measuring what came of it."""
