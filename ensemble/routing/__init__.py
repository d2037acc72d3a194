"""Where a prompt goes. Pure: no file, no network, no torch; `ensemble.router_files` brings the weights."""
