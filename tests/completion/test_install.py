"""`--install-completion` writes the script to its place, and changes nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from asyncmq_cli.completion import scripts
from tests.conftest import run_tool

PLACES = {
    "bash": [".local/share/bash-completion/completions/asyncmq"] * 2,
    "zsh": [".local/share/zsh/site-functions/_asyncmq"],
    "fish": [".config/fish/completions/asyncmq.fish", ".config/fish/completions/asyncmq-cli.fish"],
    "powershell": [".local/share/asyncmq-cli/asyncmq.ps1"],
}
PLACES["bash"][1] += "-cli"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "BASH_COMPLETION_USER_DIR": ""}


@pytest.mark.parametrize("shell", PLACES)
def test_the_script_is_written_once_and_its_path_is_printed(
    shell: str, tmp_path: Path, env: dict[str, str]
) -> None:
    for rc in (".bashrc", ".zshrc"):
        (tmp_path / rc).write_text("mine\n")
    first = run_tool("--install-completion", shell, env=env)
    places = [tmp_path / place for place in PLACES[shell]]
    assert (first.code, first.stderr) == (0, "")
    assert first.lines[: len(places)] == [f"Wrote {place}" for place in places]
    assert len(first.lines) > len(places), "and what to do next"
    for place in places:
        assert place.read_text() == scripts.script(shell)
    again = run_tool("--install-completion", shell, env=env)
    assert again.lines[: len(places)] == [f"Unchanged: {place}" for place in places]
    assert (tmp_path / ".bashrc").read_text() == (tmp_path / ".zshrc").read_text() == "mine\n"


def test_an_older_script_of_ours_is_replaced(tmp_path: Path, env: dict[str, str]) -> None:
    place = tmp_path / PLACES["zsh"][0]
    place.parent.mkdir(parents=True)
    place.write_text("# Made by `asyncmq-cli --show-completion zsh`.\n")
    assert run_tool("--install-completion", "zsh", env=env).lines[0] == f"Wrote {place}"


def test_without_a_home_directory_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_one() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", without_one)
    with pytest.raises(scripts.NotInstalled, match="no home directory"):
        scripts.install("bash", {})


def test_files_of_other_programs_stay(tmp_path: Path, env: dict[str, str]) -> None:
    place = tmp_path / PLACES["fish"][1]
    place.parent.mkdir(parents=True)
    place.write_text("complete -c asyncmq-cli\n")
    result = run_tool("--install-completion", "fish", env=env)
    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {place} belongs to another program")
    assert place.read_text() == "complete -c asyncmq-cli\n"
    assert not (tmp_path / PLACES["fish"][0]).exists(), "all or nothing"


def test_the_shell_in_use_is_found(shells: tuple[str, ...], tmp_path: Path, env: dict[str, str]) -> None:
    for shell in shells:
        # A second command, so that the shell does not make way for the first.
        line = "python -m asyncmq_cli --show-completion; true"
        done = subprocess.run(
            [shell, "-c", line], capture_output=True, text=True, check=True, env=_with_python(env)
        )
        assert done.stdout == scripts.script(shell)


def _with_python(env: dict[str, str]) -> dict[str, str]:
    import os
    import sys

    return {**os.environ, **env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_a_shell_that_we_do_not_know_is_wrong_usage(env: dict[str, str]) -> None:
    for option in ("--install-completion", "--show-completion"):
        result = run_tool(option, "tcsh", env=env)
        assert (result.code, result.stdout) == (2, "")
        assert "bash, zsh, fish, powershell" in result.stderr
