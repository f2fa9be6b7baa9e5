"""Tables and tab-separated rows; a file for a single subject also has its JSON documents."""
