"""Tables and tab-separated rows."""
