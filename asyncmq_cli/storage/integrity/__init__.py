"""What the doctor reads, and its repairs."""
