"""The seam: what crosses the queue. Postgres is the ledger, the queue only the doorbell."""
