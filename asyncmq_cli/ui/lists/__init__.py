"""Lists of any length: the table, its rows, and their filters and orders."""
