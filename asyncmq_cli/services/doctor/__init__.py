"""Finding and repairing damaged data."""
