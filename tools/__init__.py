"""The tools that write documents and release files from the program. They are not part of the package."""
