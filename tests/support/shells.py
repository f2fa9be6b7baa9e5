"""Real shells on a pseudo-terminal, and the effect of TAB on the line.

A key binding writes the line into a pipe, after TAB has been handled.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.conftest import environment
from tests.support import forked

ROOT = Path(__file__).parents[2]
SHELLS = ("bash", "zsh", "fish")
_PATIENCE = 60
_DUMP = "\x18\x04"  # Ctrl-X Ctrl-D
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>])")
_ASKS_WHAT_TERMINAL = re.compile(rb"\x1b\[0?c")

_SETUP = {
    "bash": """
PROMPT_COMMAND='((++prompts))'; PS1='<$prompts> '
bind 'set bell-style none' 'set enable-bracketed-paste off' 'set show-all-if-ambiguous on'
bind 'set page-completions off' 'set completion-query-items 0'
dump() {{ printf '%s' "$READLINE_LINE" >{line}; }}
bind -x '"\\C-x\\C-d": dump'
. {script}
""",
    "zsh": """
precmd() {{ ((++prompts)) }}
setopt prompt_subst; PS1='<$prompts> '
autoload -Uz compinit && compinit -u -d {home}/zcompdump
setopt no_beep auto_list no_list_ambiguous no_always_last_prompt
unsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste
LISTMAX=10000
dump() {{ printf '%s' "$BUFFER" >{line}; }}
zle -N dump
bindkey -e
bindkey '^X^D' dump
. {script}
""",
    "fish": """
set -g fish_greeting
function count --on-event fish_prompt; set -g prompts (math 0$prompts + 1); end
function fish_prompt; echo "<$prompts> "; end
function dump; commandline >{line}; end
bind \\cx\\cd dump
source {script}
""",
}
_COMMAND = {
    "bash": ("bash", "--noprofile", "--rcfile", "{rc}", "-i"),
    "zsh": ("zsh", "-i"),
    "fish": ("fish", "-i"),
}
_RC = {"bash": "bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
_SCRIPTS = {"bash": "asyncmq.bash", "zsh": "_asyncmq", "fish": "asyncmq.fish"}

# A command that is put before the line, and records the words that the shell passes to it.
_RECORDER = """#!{python} -IS
import json, os, sys
words = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv[1:]]
with open({pipe!r}, "w") as pipe:
    json.dump(words, pipe)
"""


class Shell:
    """An interactive shell with the completion script, and without the developer's own settings."""

    def __init__(
        self, name: str, home: Path, url: str | None, env: Mapping[str, str] | None = None, before: str = ""
    ) -> None:
        self.home = home
        self.name = name
        self._line = home / "line"
        self._words = home / "words"
        for pipe in (self._line, self._words):
            os.mkfifo(pipe)
        self._write_programs()
        rc = home / _RC[name]
        rc.parent.mkdir(parents=True, exist_ok=True)
        script = shlex.quote(str(ROOT / "completions" / _SCRIPTS[name]))
        rc.write_text(before + _SETUP[name].format(line=self._line, home=home, script=script))
        settings = environment(url) | {
            "HOME": str(home),
            "ZDOTDIR": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            **(env or {}),
        }
        settings.pop("COLUMNS", None)
        self._screen = b""
        self._start([part.format(rc=rc) for part in _COMMAND[name]], settings)

    def _write_programs(self) -> None:
        (self.home / "bin").mkdir()
        recorder = self.home / "bin" / "record"
        recorder.write_text(_RECORDER.format(python=sys.executable, pipe=str(self._words)))
        recorder.chmod(recorder.stat().st_mode | stat.S_IXUSR)
        for name in ("asyncmq", "asyncmq-cli"):
            forked.client(self.home / "bin" / name, "-m", "asyncmq_cli")

    def _start(self, command: list[str], settings: dict[str, str]) -> None:
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=settings,
            cwd=self.home,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._prompts = 0
        self._await_prompt()

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)

    def tab(self, line: str, presses: int = 1) -> str:
        """Type a line and press TAB. Returns the new line."""
        self._screen = b""
        # Delete to both ends, so that nothing of an earlier line is left.
        return self.keys("\x05\x15" + line + "\t" * presses)

    def keys(self, keys: str) -> str:
        """Press keys. Returns the line after all of them were handled."""
        os.write(self._terminal, (keys + _DUMP).encode())
        return self._read(self._line).rstrip("\n") if self.name == "fish" else self._read(self._line)

    def evaluate(self) -> list[str]:
        """The words into which the shell would split the line if it ran it."""
        os.write(self._terminal, b"\x01record \x05\r")
        words: list[str] = json.loads(self._read(self._words))
        self._await_prompt()
        return words

    @property
    def offered(self) -> str:
        """The text shown since the line was typed, without colours and cursor movements."""
        return _ESCAPES.sub("", self._screen.decode("utf-8", "replace")).replace("\r", "")

    def _read(self, pipe: Path) -> str:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = b""
            while True:
                self._wait_for(reader)
                try:
                    piece = os.read(reader, 65536)
                except BlockingIOError:
                    continue
                if not piece and found:
                    return found.decode("utf-8", "surrogateescape")
                found += piece
        finally:
            os.close(reader)

    def _await_prompt(self) -> None:
        """Wait for the next numbered prompt. Before it, the terminal itself would handle our keys."""
        self._prompts += 1
        while f"<{self._prompts}>".encode() not in self._screen:
            self._wait_for(self._terminal)

    def _wait_for(self, wanted: int) -> None:
        """Wait until there is something to read, and meanwhile read what the shell prints."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            ready, _, _ = select.select({wanted, self._terminal}, [], [], 1)
            if self._terminal in ready:
                shown = os.read(self._terminal, 65536)
                self._screen += shown
                if _ASKS_WHAT_TERMINAL.search(shown):
                    os.write(self._terminal, b"\x1b[?62;c")
            if wanted in ready:
                return
        raise AssertionError(f"{self.name} does not answer; it shows {self.offered!r}")
