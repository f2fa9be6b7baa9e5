"""An operator with two contexts for one server."""

from __future__ import annotations

from pathlib import Path

import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, run_tool
from tests.support import library
from tests.support.terminal import Screen, on_terminal


class Operator:
    """An operator with two contexts for one server: `dev` in database 1 and `prod` in database 2."""

    def __init__(self, server: PrivateRedis, home: Path) -> None:
        self.env = {"XDG_CONFIG_HOME": str(home)}
        self.server = server
        self.file = home / "asyncmq/config.toml"
        self.file.parent.mkdir()
        self.write()

    def write(self, prod: str = "") -> None:
        self.file.write_text(
            f'[context.dev]\nredis_url = "{self.url(1)}"\n\n'
            f'[context.prod]\nredis_url = "{self.url(2)}"\ncolor = "red"\n{prod}\n'
        )

    def url(self, database: int) -> str:
        return self.server.url.replace("db=0", f"db={database}")

    def client(self, database: int) -> redis.Redis:
        return redis.Redis.from_url(self.url(database))

    def __call__(self, *args: str) -> Result:
        return run_tool(*args, env=self.env)

    def on_terminal(self, *args: str, answer: str | None = None, prompt: str = "[y/N] ") -> Screen:
        env = {**self.env, "ASYNCMQ_REDIS_URL": ""}
        return on_terminal(*args, url="", answer=answer, prompt=prompt, columns=120, env=env)


def dead_jobs(url: str, *names: str) -> None:
    library.with_backend(
        url, lambda opened: library.fill(opened, "mail", [("failed", library.job(name)) for name in names])
    )
