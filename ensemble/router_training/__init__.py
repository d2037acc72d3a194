"""Fits the learned router; nothing here is imported where prompts are served."""
