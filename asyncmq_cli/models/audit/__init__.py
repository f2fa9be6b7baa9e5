"""The audit trail: the actions that it records, and the chain that proves it whole."""
