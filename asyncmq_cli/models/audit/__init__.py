"""The audit trail: the actions that it records, and the hash chain that shows whether it was edited."""
