"""The command `mathcode`: runs the stack and talks to its API over HTTP."""
