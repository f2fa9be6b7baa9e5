"""`asyncmq ui`: the interactive screen, on textual. A layer beside `commands`, on the same services."""
