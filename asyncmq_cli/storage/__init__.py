"""AsyncMQ's data in Redis: key names, encoding, reads, and one Lua script per change."""
