"""One file per noun: a command parses, calls one service method, and renders the result."""
