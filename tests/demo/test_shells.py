"""The demo's shell: its prompt, its environment and TAB, behind the user's own start-up files."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time
from pathlib import Path

import pytest

from asyncmq_cli.demo import run
from asyncmq_cli.demo.processes import with_redis

URL = "unix:///nowhere/redis.sock?db=0"
_PATIENCE = 60
_ASKS_WHAT_TERMINAL = re.compile(rb"\x1b\[0?c")
_STARTS = {
    "bash": (
        ".bashrc",
        "export ASYNCMQ_REDIS_URL=redis://production ASYNCMQ_CONTEXT=production OWN=yes\n{own}",
    ),
    "zsh": (
        ".zshrc",
        "export ASYNCMQ_REDIS_URL=redis://production ASYNCMQ_CONTEXT=production OWN=yes\n{own}",
    ),
    "fish": (
        ".config/fish/config.fish",
        "set -gx ASYNCMQ_REDIS_URL redis://production; set -gx ASYNCMQ_CONTEXT production\n"
        "set -gx OWN yes\n{own}",
    ),
}
_OWN_PROMPT = {
    # Like a theme, which sets it each time, with a separator at the end.
    "bash": "theme() { PS1='mine> '; }; PROMPT_COMMAND='theme;'\n",
    "zsh": "theme() { PROMPT='mine> '; }; autoload -Uz add-zsh-hook; add-zsh-hook precmd theme\n",
    "fish": "set -g fish_greeting; function fish_prompt; echo -n 'mine> '; end\n",
}
_COMPLETES = {
    "bash": "complete -p asyncmq",
    "zsh": "echo $_comps[asyncmq]",
    "fish": "complete -c asyncmq | string match -e __asyncmq_complete",
}


def _shown(argv: list[str], environ: dict[str, str], typed: str) -> str:
    """The screen of a shell in which this was typed after the first prompt."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        argv,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown, deadline, left = b"", time.monotonic() + _PATIENCE, typed.encode()
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            shown += piece
            if _ASKS_WHAT_TERMINAL.search(piece):
                os.write(ours, b"\x1b[?62;c")
            if left and b"mine> " in shown:
                os.write(ours, left)
                left = b""
        return shown.decode("utf-8", "replace")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


@pytest.mark.parametrize("name", _STARTS)
def test_the_users_own_shell_has_the_demo_in_its_prompt_and_behind_tab(name: str, tmp_path: Path) -> None:
    home, directory = tmp_path / "home", tmp_path / "demo"
    directory.mkdir()
    start, text = _STARTS[name]
    (home / start).parent.mkdir(parents=True)
    (home / start).write_text(text.format(own=_OWN_PROMPT[name]))
    program = shutil.which(name)
    assert program is not None
    user = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    demo = {key: value for key, value in with_redis(URL, directory).items() if key.startswith("ASYNCMQ_")}
    argv, environ = run.prepared_shell(program, {**user, **demo, "REDIS_URL": URL}, directory)
    typed = f'echo "got $OWN,$ASYNCMQ_REDIS_URL,$ASYNCMQ_CONTEXT,$ZDOTDIR,"; {_COMPLETES[name]}; exit\r'
    shown = _shown(list(argv), dict(environ), typed)
    assert f"{run.PROMPT}mine> " in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert f"got yes,{URL},,," in shown
    assert shown.split("got yes", 1)[1].count("_asyncmq") == 1


def test_another_shell_gets_the_prompt_from_its_environment(tmp_path: Path) -> None:
    argv, environ = run.prepared_shell("/bin/dash", {"HOME": "/"}, tmp_path)
    assert (argv, environ) == (["/bin/dash"], {"HOME": "/", "PS1": "(asyncmq demo) $ "})


def test_no_setting_and_no_context_of_the_users_holds_in_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ASYNCMQ_CONTEXT", "ASYNCMQ_READ_ONLY", "ASYNCMQ_ACTOR", "ASYNCMQ_CONFIG"):
        monkeypatch.setenv(name, "production")
    environ = with_redis(URL, tmp_path)
    assert {name: value for name, value in environ.items() if name.startswith("ASYNCMQ_")} == {
        "ASYNCMQ_REDIS_URL": URL,
        "ASYNCMQ_CONFIG": str(tmp_path / "config.toml"),
        "ASYNCMQ_ACTOR": "production",
    }
    assert (tmp_path / "config.toml").read_text() == ""
