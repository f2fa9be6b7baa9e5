from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncmq_cli.config import resolve
from asyncmq_cli.contexts import DEFAULT_REDIS_URL
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.system import files

Write = Callable[[str], dict[str, str]]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write the configuration file; returns the environment that leads to it."""

    def write(text: str) -> dict[str, str]:
        path = tmp_path / "asyncmq" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return {"XDG_CONFIG_HOME": str(tmp_path)}

    return write


def nowhere(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(written: Write) -> None:
    env = written('redis_url = "redis://file"')
    assert resolve({}, env).shown_url == "redis://file"
    env["REDIS_URL"] = "redis://general"
    assert resolve({}, env).shown_url == "redis://general"
    env["ASYNCMQ_REDIS_URL"] = "redis://own"
    assert resolve({}, env).shown_url == "redis://own"
    assert resolve({"redis_url": "redis://flag"}, env).shown_url == "redis://flag"


def test_names_of_secrets_in_the_environment_are_added_to_those_of_the_file(written: Write) -> None:
    env = written('redact = ["iban"]')
    assert resolve({}, env).redact == ("iban",)
    assert resolve({}, {**env, "ASYNCMQ_REDACT": "national_id, ssn,"}).redact == (
        "iban",
        "national_id",
        "ssn",
    )


def test_each_other_setting_is_resolved_the_same_way(written: Write) -> None:
    env = written('timeout = 2\nactor = "file"\ncolor = "never"')
    stored = resolve({}, env)
    assert (stored.timeout, stored.actor, stored.color) == (2.0, "file", "never")
    assert resolve({}, {**env, "ASYNCMQ_ACTOR": "environment"}).actor == "environment"
    given_ = resolve(
        {"timeout": 3, "actor": "flag", "color": "always"}, {**env, "ASYNCMQ_ACTOR": "environment"}
    )
    assert (given_.timeout, given_.actor, given_.color) == (3.0, "flag", "always")


def test_without_any_setting_the_defaults_hold(tmp_path: Path) -> None:
    found = resolve({}, nowhere(tmp_path))
    assert (found.shown_url, found.timeout, found.color) == (DEFAULT_REDIS_URL, 5.0, "auto")
    assert (found.audit_maxlen, found.heartbeat_ttl) == (100_000, 30.0)
    assert "@" in found.actor


def test_the_file_is_read_from_the_home_directory_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".config/asyncmq").mkdir(parents=True)
    (tmp_path / ".config/asyncmq/config.toml").write_text('actor = "at home"')
    for name in ("XDG_CONFIG_HOME", "ASYNCMQ_CONFIG", "ASYNCMQ_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve({}).actor == "at home"


def test_an_empty_environment_variable_is_not_set(tmp_path: Path, written: Write) -> None:
    names = (
        "ASYNCMQ_REDIS_URL",
        "REDIS_URL",
        "ASYNCMQ_ACTOR",
        "ASYNCMQ_AUDIT_MAXLEN",
        "ASYNCMQ_HEARTBEAT_TTL",
    )
    empty = dict.fromkeys((*names, "ASYNCMQ_CONFIG"), "")
    assert resolve({}, {**nowhere(tmp_path), **empty}) == resolve({}, nowhere(tmp_path))
    env = {**written('redis_url = "redis://file"'), **empty}
    assert resolve({}, env).shown_url == "redis://file"
    assert resolve({}, {**env, "REDIS_URL": "redis://general"}).shown_url == "redis://general"


@pytest.mark.parametrize(
    "option", ["redis_url", "context", "settings", "python", "timeout", "actor", "color"]
)
def test_an_empty_option_never_means_another_redis_or_actor(option: str, written: Write) -> None:
    env = written('redis_url = "redis://file"') | {"REDIS_URL": "redis://general"}
    with pytest.raises(UsageProblem, match=f"--{option.replace('_', '-')} is empty"):
        resolve({option: ""}, env)


@pytest.mark.parametrize(
    "timeout", [0, -1, "soon", "nan", "inf", float("nan"), 10**400, [1]], ids=lambda value: repr(value)[:9]
)
def test_a_timeout_that_is_no_positive_number_is_refused(timeout: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="--timeout must be a time above 0"):
        resolve({"timeout": timeout}, nowhere(tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("5s", 5.0), ("1m30s", 90.0), ("7", 7.0), (".5", 0.5), ("2.5", 2.5)],
)
def test_a_time_may_be_typed_as_a_duration(
    text: str, expected: float, written: Write, tmp_path: Path
) -> None:
    assert resolve({"timeout": text}, nowhere(tmp_path)).timeout == expected
    assert resolve({}, written(f'timeout = "{text}"')).timeout == expected
    env = {**nowhere(tmp_path), "ASYNCMQ_HEARTBEAT_TTL": text}
    assert resolve({}, env).heartbeat_ttl == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2000000", 2_000_000), ("64MB", 64 * 2**20), ("1 gib", 2**30), ("2048K", 2**21), ("3m", 3 * 2**20)],
)
def test_a_size_is_in_bytes_or_has_a_unit(text: str, expected: int, tmp_path: Path) -> None:
    assert resolve({}, {**nowhere(tmp_path), "ASYNCMQ_MAX_PAYLOAD": text}).max_payload == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASYNCMQ_AUDIT_MAXLEN", "0"),
        ("ASYNCMQ_AUDIT_MAXLEN", "0.5"),
        ("ASYNCMQ_AUDIT_MAXLEN", "many"),
        ("ASYNCMQ_HEARTBEAT_TTL", "-3"),
        *(("ASYNCMQ_MAX_PAYLOAD", text) for text in ("0", "1000", "-1", "64X", "1e9", "MB", "9" * 40)),
    ],
)
def test_a_bad_number_in_the_environment_is_refused_by_its_name(
    name: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageProblem, match=name):
        resolve({}, {**nowhere(tmp_path), name: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('redis_uri = "redis://h"', "unknown key 'redis_uri'"),
        ("redis_url = ", "is not TOML"),
        ("timeout = -1", "^timeout in the configuration file must be a time above 0"),
        ("timeout = true", "timeout in .* must be a number"),
        ("redis_url = 6379", "redis_url in .* must be a text"),
        ('actor = ["ada"]', "actor in .* must be a text"),
        ('redact = "iban"', "redact in .* must be a list of names"),
        ("redact = [1]", "redact in .* must be a list of names"),
        ('color = "blue"', "color in .* must be one of auto, always, never, not"),
        ('password_file = "a\\u0000b"', "password_file in .* contains a NUL"),
        ('redact = ["a", "\\u0000"]', "redact in .* contains a NUL"),
        ('redis_url = "redis://h"\npassword_command = " "', "password_command names no program"),
        ('redis_url = "redis://h"\npassword_command = ["", "x"]', "password_command names no program"),
        ('redis_url = "redis://:${PW@h"', "has a \\$\\{ without its }"),
        (f"timeout = {'9' * 5000}", "has a value that is too long or nested too deeply"),
        (f"redact = {'[' * 50_000}", "has a value that is too long or nested too deeply"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, message: str, written: Write) -> None:
    with pytest.raises(UsageProblem, match=message):
        resolve({}, written(text))


def test_a_file_that_is_named_must_be_there_and_readable(tmp_path: Path) -> None:
    missing = {**nowhere(tmp_path), "ASYNCMQ_CONFIG": str(tmp_path / "mine.toml")}
    with pytest.raises(UsageProblem, match="ASYNCMQ_CONFIG"):
        resolve({}, missing)
    (tmp_path / "mine.toml").write_bytes(b'actor = "\xff"')
    with pytest.raises(UsageProblem, match="cannot read"):
        resolve({}, missing)
    with pytest.raises(UsageProblem, match="cannot read"):
        resolve({}, {"ASYNCMQ_CONFIG": str(tmp_path)})
    (tmp_path / "mine.toml").write_text('actor = "mine"')
    assert resolve({}, missing).actor == "mine"


def test_a_timeout_in_the_url_gives_way_to_the_flag_alone(written: Write) -> None:
    env = {**written("timeout = 2"), "REDIS_URL": "redis://h?socket_timeout=7"}
    assert resolve({}, env).timeout == 7.0
    assert resolve({"timeout": 3}, env).timeout == 3.0


@pytest.mark.parametrize("name", ["ASYNCMQ_REDIS_URL", "REDIS_URL"])
def test_a_url_that_cannot_be_used_is_named_by_where_it_comes_from(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=f"^the Redis URL of {name} cannot be used: it names no host"):
        resolve({}, {**nowhere(tmp_path), name: "redis://"})


def test_an_optional_file_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "asyncmq" / "config.toml").mkdir(parents=True)
    found = resolve({}, nowhere(tmp_path))
    assert found.shown_url == DEFAULT_REDIS_URL
    assert [warning.partition(":")[0] for warning in found.warnings] == ["the configuration file is ignored"]
    (tmp_path / "asyncmq" / "config.toml").rmdir()
    (tmp_path / "asyncmq" / "config.toml").write_text('actor = "ada"', encoding="utf-16")
    (warning,) = resolve({}, nowhere(tmp_path)).warnings
    assert warning.endswith("config.toml is not UTF-8")


def test_an_unreadable_choice_of_a_context_matters_only_where_it_decides(written: Write) -> None:
    env = written('[context.prod]\nredis_url = "redis://prod"')
    choice = Path(env["XDG_CONFIG_HOME"]) / "asyncmq" / "config.context"
    for unreadable in (lambda: choice.mkdir(), lambda: (choice.rmdir(), choice.write_bytes(b"\xff"))):
        unreadable()
        with pytest.raises(UsageProblem, match=r"^cannot read which context is in use: "):
            resolve({}, env)
        by_flag, by_variable = (
            resolve({"context": "prod"}, env),
            resolve({}, {**env, "REDIS_URL": "redis://u"}),
        )
        assert (by_flag.shown_url, by_variable.shown_url) == ("redis://prod", "redis://u")
        for found in (by_flag, by_variable):
            assert [one for one in found.warnings if "which context is in use" in one]


def test_a_byte_order_mark_before_the_file_is_dropped(written: Write) -> None:
    assert resolve({}, written('\ufeffactor = "bom"')).actor == "bom"


def test_a_file_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageProblem, match="more than 1,048,576 bytes"):
        resolve({}, {"ASYNCMQ_CONFIG": "/dev/zero"})
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(files, "READ_WITHIN", 0.05)
    with pytest.raises(UsageProblem, match=r"did not end within 0\.05 s"):
        resolve({}, {"ASYNCMQ_CONFIG": str(tmp_path / "fifo")})


def test_variables_in_the_url_of_the_file_are_replaced(written: Write) -> None:
    env = written('redis_url = "redis://${WHO}:${PW}@${HOST}:6380/1"')
    env |= {"WHO": "ops", "PW": "a/b#c@d%20", "HOST": "prod.invalid"}
    address = resolve({}, env).address
    assert (address.username, address.password, address.host) == ("ops", "a/b#c@d%20", "prod.invalid")
    whole = {**written('redis_url = "${PROD}"'), "PROD": "redis://:p%40w@prod.invalid"}
    assert resolve({}, whole).address.password == "p@w"
    assert resolve({}, written('redis_url = "redis://:%24{PW}@h"')).address.password == "${PW}"


def test_the_line_end_of_a_secret_in_a_variable_is_dropped(written: Write) -> None:
    env = written('redis_url = "redis://:${PW}@h"')
    assert [resolve({}, {**env, "PW": text}).address.password for text in ("pw\n", "pw\r\n", "p\n\n")] == [
        "pw",
        "pw",
        "p\n",
    ]


def test_a_variable_that_is_not_set_is_named(written: Write) -> None:
    with pytest.raises(UsageProblem, match="needs the variable 'NOT_THERE', which is not set"):
        resolve({}, written('redis_url = "redis://:${NOT_THERE}@h"'))


def test_only_the_file_has_variables(tmp_path: Path) -> None:
    env = {**nowhere(tmp_path), "REDIS_URL": "redis://:${HOME}@h", "HOME": "/root"}
    assert resolve({}, env).address.password == "${HOME}"


def test_the_password_comes_from_where_the_url_does(written: Write) -> None:
    env = written('redis_url = "redis://ops@file"\npassword_command = ["pass", "show redis"]')
    stored = resolve({}, env)
    assert stored.password_command == ("pass", "show redis")
    assert stored.shown_url == "redis://ops:[redacted]@file"
    # It is not given to another server.
    assert resolve({"redis_url": "redis://other"}, env).password_command is None
    env["ASYNCMQ_PASSWORD_FILE"] = "~/secret"
    both = resolve({"redis_url": "redis://other"}, env)
    assert (both.password_file, both.password_command) == (str(Path("~/secret").expanduser()), None)
    assert resolve({"redis_url": "redis://:own@other"}, env).password_file is None


def test_without_a_home_directory_a_path_below_it_is_refused(
    written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_one(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", without_one)
    for key in ("password_file", "ssl_ca_certs"):
        with pytest.raises(UsageProblem, match="there is no home directory for '~/x'"):
            resolve({}, written(f'redis_url = "rediss://file"\n{key} = "~/x"'))


def test_two_sources_of_a_password_exclude_each_other(tmp_path: Path) -> None:
    env = {**nowhere(tmp_path), "ASYNCMQ_PASSWORD_FILE": "a", "ASYNCMQ_PASSWORD_COMMAND": "b"}
    with pytest.raises(UsageProblem, match="exclude each other"):
        resolve({}, env)
