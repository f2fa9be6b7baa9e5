"""What the doctor reads to find damage, and its repairs."""
