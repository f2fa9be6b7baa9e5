"""How fast, small and gentle the tool is at a million jobs: `make bench`."""
