"""The reads by which the doctor finds damage, and the repairs."""
