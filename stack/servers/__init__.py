"""PostgreSQL and a Redis-compatible server from wheels, run by ourselves on durable settings.

with scratch_data_dir() as path, EmbeddedServers(path) as servers:
    servers.urls.database_url, servers.urls.redis_url
    servers.redis.kill(); servers.redis.start()   # same URL, data kept
"""

from stack.layout import scratch_data_dir
from stack.servers.embedded import EmbeddedServers, ServerUrls

__all__ = ["EmbeddedServers", "ServerUrls", "scratch_data_dir"]
