"""A throw-away Redis with a real AsyncMQ worker in it."""
