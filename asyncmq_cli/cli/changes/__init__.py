"""Changes on the command line: what they hit, whether they are confirmed, and what they report."""
