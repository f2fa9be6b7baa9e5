"""What a key would change, before it does."""
