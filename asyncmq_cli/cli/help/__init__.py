"""Help pages, the tree of commands, and hints for unknown words."""
