"""Foreign request and response formats, parsed into our messages and rendered from our jobs. Pure."""
