"""Passwords that are not in the URL: `password_file` and `password_command`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.client import credentials
from tests.conftest import Result, run_tool

PASSWORD = "Xq7-distinctive-pa55"


def listed(url: str, **env: str) -> Result:
    return run_tool("queues", "list", url=url, env=env)


def test_the_password_is_read_from_a_file_or_a_program(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    # As editors on Windows write it.
    secret.write_bytes(b"\xef\xbb\xbf" + f"{PASSWORD}\r\n".encode())
    with PrivateRedis(extra=("--requirepass", PASSWORD)) as server:
        assert listed(server.url).code == 3
        for env in (
            {"ASYNCMQ_PASSWORD_FILE": str(secret)},
            {"ASYNCMQ_PASSWORD_COMMAND": f"cat '{secret}'"},
        ):
            found = listed(server.url, **env)
            assert (found.code, PASSWORD in found.stderr, "error" in found.stderr) == (0, False, False)
        config = tmp_path / "config.toml"
        config.write_text(f'redis_url = "{server.url}"\npassword_command = ["cat", "{secret}"]')
        assert run_tool("queues", "list", env={"ASYNCMQ_CONFIG": str(config)}).code == 0
        secret.write_text("wrong-distinctive-pa55")
        refused = listed(server.url, ASYNCMQ_PASSWORD_FILE=str(secret))
        assert (refused.code, "distinctive" in refused.stderr) == (3, False)


PROGRAMS = {
    f"print('{PASSWORD}'); raise SystemExit(3)": "failed with status 3",
    f"import sys; sys.stderr.write('{PASSWORD}'); raise SystemExit(1)": "failed with status 1",
    f"print('{PASSWORD}'); print('url: x')": "has more than one line",
    "print()": "is empty",
    f"import sys; sys.stdout.buffer.write(b'{PASSWORD}' + bytes([255]))": "is not UTF-8",
    f"print('{PASSWORD}' * 10_000)": "it holds more than 65,536 bytes",
    "while True: print('x', end='')": "it holds more than 65,536 bytes",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_error_of_a_password_command_never_shows_its_output(program: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    words = ", ".join(repr(word) for word in (sys.executable, "-c"))
    config.write_text(f'password_command = [{words}, """{program}"""]')
    result = run_tool("queues", "list", env={"ASYNCMQ_CONFIG": str(config)})
    assert (result.code, result.stdout) == (2, ""), result
    assert result.stderr.startswith("error: ") and PROGRAMS[program] in result.stderr
    assert PASSWORD not in result.stderr


@pytest.mark.parametrize("command", ["/nowhere/prog", "'unclosed", "/"])
def test_a_program_that_cannot_be_started_is_wrong_usage(command: str) -> None:
    result = run_tool("queues", "list", env={"ASYNCMQ_PASSWORD_COMMAND": command})
    assert (result.code, result.stdout) == (2, "")
    assert "bug in asyncmq-cli" not in result.stderr


def test_a_program_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "COMMAND_WITHIN", 0.1)
    with pytest.raises(credentials.UsageProblem, match=r"did not end within 0\.1 s"):
        credentials._of_command(("sleep", "60"))


def test_an_empty_or_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for name, says in (("empty", "is empty"), ("missing", "No such file"), (".", "Is a directory")):
        result = run_tool("queues", "list", env={"ASYNCMQ_PASSWORD_FILE": str(tmp_path / name)})
        assert (result.code, says in result.stderr) == (2, True), result


def test_an_unreadable_default_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "asyncmq" / "config.toml").mkdir(parents=True)
    with PrivateRedis() as server:
        result = run_tool("queues", "list", url=server.url, env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert result.code == 0
    assert result.stderr.startswith("warning: the configuration file is ignored: ")
