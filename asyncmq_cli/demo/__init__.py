"""The demo: a temporary, private Redis with real AsyncMQ workers."""
