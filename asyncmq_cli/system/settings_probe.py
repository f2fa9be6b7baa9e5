"""A script for the application's Python: with the name of the settings as its argument, it prints their
address of Redis as JSON.

It is passed as source text, so it imports nothing from this program and runs on any Python.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found() if isinstance(found, type) else found


def _options(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if isinstance(value, (str, int, float, bool))}


def _address(pool: Any) -> dict[str, Any]:
    names = [kind.__name__ for kind in pool.connection_class.__mro__]
    found: dict[str, Any] = {
        "tls": any("SSL" in name for name in names),
        "kwargs": _options(pool.connection_kwargs),
    }
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        asked = [sentinel.connection_pool.connection_kwargs for sentinel in manager.sentinels]
        found["master"] = pool.service_name
        found["sentinels"] = [[each["host"], int(each.get("port", 26379))] for each in asked]
        found["sentinel_kwargs"] = _options(asked[0])
    return found


def _answer(name: str) -> dict[str, Any]:
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    os.environ["ASYNCMQ_SETTINGS_MODULE"] = name.replace(":", ".")
    settings = _load(name)
    backend = settings.backend
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(backend).__mro__]
    found: dict[str, Any] = {"backend": kinds[0], "is_redis": "asyncmq.backends.redis.RedisBackend" in kinds}
    for key in ("heartbeat_ttl", "stalled_check_interval"):
        value = getattr(settings, key, None)
        found[key] = value if isinstance(value, (int, float)) else None
    if found["is_redis"]:
        found.update(_address(backend.redis.connection_pool))
    return found


def main() -> None:
    # The application's own output must not be mistaken for the reply.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = _answer(sys.argv[1])
    except BaseException as exc:
        answer = {"error": f"{type(exc).__name__}: {exc}"}
    out.write(json.dumps(answer))
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
