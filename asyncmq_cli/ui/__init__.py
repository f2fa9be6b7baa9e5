"""`asyncmq ui`: the interactive screen, made with textual. A layer beside `commands` that uses the same
services."""
