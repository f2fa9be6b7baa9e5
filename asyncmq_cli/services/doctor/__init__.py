"""Find and repair damaged data."""
