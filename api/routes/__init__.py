"""Views of five lines: parse, submit, render."""
