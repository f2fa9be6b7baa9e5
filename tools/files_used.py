"""`python -m tools.files_used jobs list emails --state failed --q marta`: which of our files a command uses.

Prints a line for each file of the package, in the order in which they were first used: the number of its
functions that ran, and its name. The sum for each layer follows on stderr. Without ASYNCMQ_REDIS_URL the
command runs in the demo; its own output goes to stderr.

A file counts if one of its functions ran. What runs while a module is imported, such as a decorator, does not
count. A file marked with `-` called no other file of ours: it is a tool on the path, such as the table of key
names.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import asyncmq_cli

_PACKAGE = Path(asyncmq_cli.__file__).parent


@dataclass
class UsedFile:
    name: str
    functions: set[CodeType] = field(default_factory=set)
    calls_others: bool = False


class Tracer:
    """A profile function for `sys.setprofile` that notes the functions of the package that run."""

    def __init__(self) -> None:
        self.files: dict[str, UsedFile] = {}
        self._state = threading.local()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not _is_ours(code):
            return
        if code.co_name == "<module>":
            self._state.imports = self._imports + (1 if event == "call" else -1)
        elif event == "call" and not self._imports and _is_function(code):
            self._file(code).functions.add(code)
            caller = frame.f_back.f_code if frame.f_back else code
            if _is_ours(caller) and caller.co_filename != code.co_filename:
                self._file(caller).calls_others = True

    @property
    def _imports(self) -> int:
        """How many modules of ours are being imported in this thread."""
        return getattr(self._state, "imports", 0)

    def _file(self, code: CodeType) -> UsedFile:
        name = Path(code.co_filename).relative_to(_PACKAGE).as_posix()
        return self.files.setdefault(name, UsedFile(name))


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(f"{_PACKAGE}{os.sep}")


def _is_function(code: CodeType) -> bool:
    """Whether it is a function, and not the body of a class."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def trace(arguments: Sequence[str]) -> tuple[int, list[UsedFile]]:
    """Run a command line in this process. Returns its exit status and the files that it used."""
    from asyncmq_cli.__main__ import main as run

    tracer = Tracer()
    status = 0
    sys.argv = ["asyncmq", *arguments]
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        run()
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else 1
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return status, list(tracer.files.values())


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    if "ASYNCMQ_REDIS_URL" not in os.environ:
        return _in_the_demo(arguments)
    with redirect_stdout(sys.stderr):
        status, files = trace(arguments)
    for file in files:
        sys.stdout.write(f"{len(file.functions):4} {' ' if file.calls_others else '-'} {file.name}\n")
    sys.stdout.flush()
    layers = Counter(file.name.partition("/")[0] for file in files)
    stations = sum(file.calls_others for file in files)
    summary = ", ".join(f"{name} {count}" for name, count in layers.most_common())
    sys.stderr.write(f"{len(files)} files, {stations} of them call others ({summary})\n")
    return status


def _in_the_demo(arguments: Sequence[str]) -> int:
    from asyncmq_cli.demo.environment import DemoEnvironment

    with DemoEnvironment() as demo:
        environ = {**os.environ, "ASYNCMQ_REDIS_URL": demo.url}
        command = [sys.executable, "-m", "tools.files_used", *arguments]
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
