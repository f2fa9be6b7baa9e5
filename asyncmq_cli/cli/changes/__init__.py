"""The command-line side of changes: select the targets, ask for confirmation, print the report."""
