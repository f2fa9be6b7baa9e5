"""The operating system: this process, files, applications, HTTP, and shortages of resources."""
