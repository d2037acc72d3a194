"""From repositories to rows of `code_files`: walk, judge, compare, store. Never reaches torch."""
