"""AsyncMQ's data in Redis: key names, codec, reads, and one Lua file per change."""
