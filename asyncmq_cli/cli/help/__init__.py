"""Help, the tree of commands, and hints for words that are not ours."""
