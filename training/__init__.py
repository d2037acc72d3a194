"""Continuous training of the code model: from files of code to a version in service.

`pipeline.py` tells the story of a run. What needs torch runs in processes of its own (`trainer`, `evaluation`), so
the worker that hosts the pipeline stays small and a card is free again when they end.
"""
