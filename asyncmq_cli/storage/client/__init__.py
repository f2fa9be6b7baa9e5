"""The connection to Redis: TLS, credentials, Sentinels, pipelining, limits and checks of replies, and
errors."""
