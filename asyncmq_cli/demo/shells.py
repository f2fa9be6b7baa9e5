"""Prepare the user's shell: its prompt, environment and completion for the demo.

Each shell reads the user's start-up files first and then our file, because the user's files may name another
Redis or set the prompt.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncmq_cli.demo.child import asyncmq_command
from asyncmq_cli.demo.environment import module_environment

PROMPT = "(asyncmq demo) "
_SET = ("PATH", "ASYNCMQ_REDIS_URL", "REDIS_URL", "ASYNCMQ_CONFIG")
_UNSET = ("ASYNCMQ_CONTEXT", "ASYNCMQ_SETTINGS_MODULE", "ASYNCMQ_READ_ONLY")

# Some themes set the prompt again before each line, so add ours before each line too.
_BASH = """\
[ -f ~/.bashrc ] && . ~/.bashrc
{environment}
. {completion}
_asyncmq_demo() {{ [[ $PS1 == *{prompt}* ]] || PS1={prompt}$PS1; }}
PROMPT_COMMAND=$PROMPT_COMMAND$'\\n'_asyncmq_demo
"""
_ZSHENV = """\
_asyncmq_home=$ZDOTDIR
{original}
[[ -f ${{ZDOTDIR:-$HOME}}/.zshenv ]] && . ${{ZDOTDIR:-$HOME}}/.zshenv
_asyncmq_theirs=${{ZDOTDIR-}}
ZDOTDIR=$_asyncmq_home
"""
_ZSHRC = """\
if [[ -n $_asyncmq_theirs ]]; then ZDOTDIR=$_asyncmq_theirs; else unset ZDOTDIR; fi
[[ -f ${{ZDOTDIR:-$HOME}}/.zshrc ]] && . ${{ZDOTDIR:-$HOME}}/.zshrc
{environment}
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -D; }}
. {completion}
_asyncmq_demo() {{ [[ $PROMPT == *{prompt}* ]] || PROMPT={prompt}$PROMPT; }}
autoload -Uz add-zsh-hook && add-zsh-hook precmd _asyncmq_demo
"""
_FISH = """\
{environment}
source {completion}
functions -q fish_prompt; and functions -c fish_prompt _asyncmq_demo_prompt
function fish_prompt
    printf %s {prompt}
    functions -q _asyncmq_demo_prompt; and _asyncmq_demo_prompt
end
"""


def prepared(
    program: str, environ: Mapping[str, str], directory: Path
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The command line and the environment of the shell. Its files are written into `directory`. An unknown
    shell gets the environment, with the prompt in PS1."""
    name = Path(program).name
    if name not in ("bash", "zsh", "fish"):
        return [program], {**environ, "PS1": f"{PROMPT}$ "}
    home = directory / "shell"
    home.mkdir()
    completion = home / "completion"
    # Get the completion script from the program, as a user would.
    shown = subprocess.run(
        asyncmq_command(["--show-completion", name]),
        env=module_environment(dict(environ)),
        stdout=subprocess.PIPE,
        check=False,
    )
    completion.write_bytes(shown.stdout)
    quoted = {
        "completion": shlex.quote(str(completion)),
        "prompt": shlex.quote(PROMPT),
        "environment": _environment(name, environ),
    }
    if name == "bash":
        return [program, "--rcfile", _written(home / "bashrc", _BASH, quoted), "-i"], environ
    if name == "fish":
        return [program, "--init-command", f"source {_written(home / 'config.fish', _FISH, quoted)}"], environ
    theirs = environ.get("ZDOTDIR")
    original = f"ZDOTDIR={shlex.quote(theirs)}" if theirs else "unset ZDOTDIR"
    _written(home / ".zshenv", _ZSHENV, {"original": original})
    _written(home / ".zshrc", _ZSHRC, quoted)
    return [program, "-i"], {**environ, "ZDOTDIR": str(home)}


def _environment(shell: str, environ: Mapping[str, str]) -> str:
    """The lines that set the demo's variables and unset variables that contradict them."""
    pairs = [(name, shlex.quote(environ[name])) for name in _SET if name in environ]
    if shell == "fish":
        # In fish, PATH is a list of words without colons.
        lines = [f"set -gx {name} {value}" for name, value in pairs]
        return "\n".join([*lines, f"set -e {' '.join(_UNSET)}"])
    return "\n".join([*(f"export {name}={value}" for name, value in pairs), f"unset {' '.join(_UNSET)}"])


def _written(path: Path, text: str, values: Mapping[str, str]) -> str:
    path.write_text(text.format(**values), encoding="utf-8")
    return shlex.quote(str(path))
