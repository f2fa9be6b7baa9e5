"""The scripts that change data, and the tool's own streams."""
