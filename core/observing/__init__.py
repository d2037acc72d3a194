"""What an operator sees of a running installation: figures for people, for Prometheus, and whether all is well."""
