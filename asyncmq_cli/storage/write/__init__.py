"""The Lua scripts that change data, and the tool's own streams."""
