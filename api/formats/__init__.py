"""Pure pairs of parse and render, one module per dialect of the API."""
