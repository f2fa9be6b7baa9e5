"""`python -m asyncmq_cli.completion DIRECTORY` writes all completion scripts into a directory."""

import sys
from pathlib import Path

from asyncmq_cli.completion.scripts import write_all

if __name__ == "__main__":
    for path in write_all(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
