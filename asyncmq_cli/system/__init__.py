"""The operating system: this process and others, files, applications, HTTP, and shortages of resources."""
