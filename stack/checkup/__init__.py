"""Looks a machine over before, or while, it serves: what is wrong, and what to do about it."""
