"""Lists of any length: the table, the rows that it reads, and their filters and orders."""
