"""The context in effect, by flag, variable, `context use` or URL; and its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from asyncmq_cli import contexts
from asyncmq_cli.config import resolve
from asyncmq_cli.errors import UsageProblem

TWO = """
redis_url = "redis://flat:6379/0"
password_command = "pass flat"
timeout = 9
redact = ["iban"]

[context.prod]
redis_url = "redis://ops:${PW}@prod.internal:6380/2"
actor = "night-shift"
heartbeat_ttl = "90s"
color = "red"
redact = ["ssn"]

[context.staging]
redis_url = "redis://staging.internal"
password_file = "/run/secrets/staging"
timeout = "2s"
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "asyncmq").mkdir()
    (tmp_path / "asyncmq/config.toml").write_text(TWO)
    return {"XDG_CONFIG_HOME": str(tmp_path), "PW": "s3cret"}


def use(env: Mapping[str, str], name: str | None) -> None:
    contexts.use(contexts.read(env), name)


@pytest.mark.parametrize(
    ("used", "variables", "flags", "context", "host"),
    [
        (None, {}, {}, "", "flat"),
        ("staging", {}, {}, "staging", "staging.internal"),
        ("staging", {"ASYNCMQ_CONTEXT": "prod"}, {}, "prod", "prod.internal"),
        ("prod", {"ASYNCMQ_CONTEXT": "prod"}, {"context": "staging"}, "staging", "staging.internal"),
        # An address on the command line or in the environment wins over `context use`.
        ("prod", {"REDIS_URL": "redis://other"}, {}, "", "other"),
        ("prod", {"ASYNCMQ_REDIS_URL": "redis://other"}, {}, "", "other"),
        ("prod", {"ASYNCMQ_CONTEXT": "prod"}, {"redis_url": "redis://other"}, "", "other"),
        # A flag wins over the environment.
        (None, {"ASYNCMQ_REDIS_URL": "redis://other"}, {"context": "prod"}, "prod", "prod.internal"),
        # Who names the Redis of a context by its address works in that context.
        (None, {"REDIS_URL": "redis://PROD.internal:6380/2"}, {}, "prod", "PROD.internal"),
        (None, {}, {"redis_url": "redis://staging.internal:6379/0"}, "staging", "staging.internal"),
        (None, {}, {"redis_url": "redis://prod.internal:6380/1"}, "", "prod.internal"),
        (None, {"ASYNCMQ_CONTEXT": "prod", "REDIS_URL": "redis://prod.internal:6380/2"}, {}, "prod", None),
    ],
)
def test_which_context_holds(
    used: str | None,
    variables: dict[str, str],
    flags: dict[str, Any],
    context: str,
    host: str | None,
    env: dict[str, str],
) -> None:
    use(env, used)
    found = resolve(flags, {**env, **variables})
    assert found.context == context
    assert host is None or found.address.host == host


def test_what_a_context_brings_and_where_it_comes_from(env: dict[str, str]) -> None:
    found = resolve({"context": "prod"}, env)
    assert (found.address.password, found.address.db) == ("s3cret", 2)
    assert (found.actor, found.heartbeat_ttl, found.timeout) == ("night-shift", 90.0, 9.0)
    assert (found.color, found.context_color, found.redact) == ("auto", "red", ("iban", "ssn"))
    assert {name: found.origins[name] for name in ("context", "redis_url", "actor", "timeout", "color")} == {
        "context": "--context",
        "redis_url": "context 'prod'",
        "actor": "context 'prod'",
        "timeout": "the configuration file",
        "color": "context 'prod'",
    }
    given = resolve({"context": "prod", "timeout": "1s"}, {**env, "ASYNCMQ_ACTOR": "ada"})
    assert (given.actor, given.timeout) == ("ada", 1.0)
    assert (given.origins["actor"], given.origins["timeout"]) == ("ASYNCMQ_ACTOR", "--timeout")


def test_a_password_is_sent_only_to_its_own_server(env: dict[str, str]) -> None:
    assert resolve({}, env).password_command == ("pass", "flat")
    staging = resolve({"context": "staging"}, env)
    assert (staging.password_file, staging.password_command) == ("/run/secrets/staging", None)
    prod = resolve({"context": "prod"}, {**env, "PW": "x"})
    assert (prod.password_file, prod.password_command) == (None, None)
    # Its address alone is not its user.
    by_address = resolve({"redis_url": "redis://staging.internal"}, env)
    assert (by_address.context, by_address.password_file, by_address.timeout) == ("staging", None, 9.0)


def test_two_variables_that_name_different_servers_are_refused(env: dict[str, str]) -> None:
    both = {**env, "ASYNCMQ_CONTEXT": "prod", "REDIS_URL": "redis://other"}
    with pytest.raises(UsageProblem, match="ASYNCMQ_CONTEXT=prod and REDIS_URL name different servers"):
        resolve({}, both)
    with pytest.raises(UsageProblem, match="--context and --redis-url exclude each other"):
        resolve({"context": "prod", "redis_url": "redis://other"}, env)


def test_a_context_in_use_that_an_address_passes_over_is_a_warning(env: dict[str, str]) -> None:
    use(env, "prod")
    assert resolve({}, {**env, "REDIS_URL": "redis://other"}).warnings == (
        "context 'prod' is not used: REDIS_URL says where Redis is",
    )
    assert not resolve({"redis_url": "redis://other"}, env).warnings
    assert not resolve({}, {**env, "REDIS_URL": "redis://prod.internal:6380/2"}).warnings


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("", {"context": "prod"}, r"no context 'prod' \(named by --context\)"),
        ('[context.prod]\nredis_url = "redis://h"', {"context": "prdo"}, "no context 'prdo'"),
        ("[context.prod]\ntimeout = 3", {"context": "prod"}, r"\[context.prod\] has no redis_url"),
        ('[context.prod]\nredis_uri = "x"', {}, r"unknown key 'redis_uri' of \[context.prod\]"),
        ("[context.prod]\nredis_url = 1", {}, r"redis_url of \[context.prod\] in .* must be a text"),
        ('[context."a,b"]\nredis_url = "redis://h"', {}, "'a,b' in .* cannot be the name of a context"),
        ('context = "prod"', {}, "context in .* must be tables"),
        (
            '[context.prod]\nredis_url = "redis://h"\ncolor = "pink"',
            {"context": "prod"},
            "color in context 'prod' must be one of .*, red",
        ),
        (
            '[context.prod]\nredis_url = "redis://:${NOT_THERE}@h"',
            {"context": "prod"},
            "redis_url in context 'prod' needs the variable 'NOT_THERE'",
        ),
    ],
)
def test_a_mistake_in_a_context_is_named(
    text: str, flags: dict[str, Any], message: str, env: dict[str, str]
) -> None:
    Path(env["XDG_CONFIG_HOME"], "asyncmq/config.toml").write_text(text)
    with pytest.raises(UsageProblem, match=message):
        resolve(flags, env)


def test_a_context_that_was_deleted_does_not_lead_elsewhere(env: dict[str, str]) -> None:
    use(env, "staging")
    Path(env["XDG_CONFIG_HOME"], "asyncmq/config.toml").write_text('redis_url = "redis://flat"')
    with pytest.raises(UsageProblem, match=r"no context 'staging' \(named by 'context use'\)"):
        resolve({}, env)
    use(env, None)
    assert resolve({}, env).address.host == "flat"


def test_each_file_has_a_choice_of_its_own(env: dict[str, str], tmp_path: Path) -> None:
    read: Callable[[Mapping[str, str]], Any] = contexts.read
    use(env, "prod")
    (tmp_path / "other.toml").write_text('[context.dev]\nredis_url = "redis://dev"')
    other = {"ASYNCMQ_CONFIG": str(tmp_path / "other.toml")}
    use(other, "dev")
    assert (read(env).used, read(other).used) == ("prod", "dev")
