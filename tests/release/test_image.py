"""The container image: its user, its command, and that it needs no writable file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.docs.conftest import ROOT
from tests.faults.troubles import free_port
from tests.release.checkers import check
from tests.release.containerfile import instructions, stages
from tools import commandtree

PREFIX = "/opt/asyncmq-cli"


def test_the_image_runs_without_root_and_serves_metrics_by_default() -> None:
    _, image = stages()
    said = dict(image)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])
    program, *words = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
    assert program == "asyncmq-cli" and words[:2] == ["metrics", "serve"]
    commandtree.parse(words)
    assert words[-1] == f":{said['EXPOSE']}"
    assert [word for word, _ in image if word in ("RUN", "ADD", "VOLUME")] == [], "nothing is made in it"


def test_everything_that_the_image_fetches_is_pinned() -> None:
    (base,) = [rest for word, rest in instructions() if word == "ARG"]
    assert re.fullmatch(r"BASE=[\w./-]+:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert [rest.split()[0] for word, rest in instructions() if word == "FROM"] == ["${BASE}", "${BASE}"]
    first = next(rest for word, rest in stages()[0] if word == "RUN")
    assert "--require-hashes --requirement requirements.lock" in first


def test_the_image_copies_files_that_exist() -> None:
    for word, rest in stages()[0]:
        if word == "COPY":
            assert all((ROOT / source).exists() for source in rest.split()[:-1]), rest


@pytest.mark.extended
def test_hadolint_has_nothing_to_say() -> None:
    check("hadolint", "Containerfile", folder=ROOT)


def answers(listening: str, path: str) -> str:
    with urllib.request.urlopen(f"{listening}{path}", timeout=30) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text


@contextmanager
def started(words: Sequence[str | Path], **options: Any) -> Iterator[str]:
    """Start the exporter and yield its address. It must end normally on SIGTERM."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, **options)
    try:
        line = process.stderr.readline()
        found = re.search(r" on (http://\S+)/metrics\n", line)
        assert found, line + process.stderr.read()
        yield found[1]
        process.terminate()
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def serves(words: Sequence[str | Path], client: redis.Redis, **options: Any) -> None:
    client.zadd("queue:mail:waiting", {"x": 1})
    with started(words, **options) as address:
        text = ""
        while "asyncmq_up 1.0" not in text:
            text = answers(address, "/metrics")
        assert 'asyncmq_queue_jobs{queue="mail",state="waiting"} 1.0' in text
        assert answers(address, "/readyz") == "ok\n"


def command() -> list[str]:
    """The command of the image, on a free port of this host."""
    said = dict(stages()[1])
    return [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])[:-1], "127.0.0.1:0"]


@pytest.mark.extended
def test_the_steps_of_the_image_work_in_a_clean_folder(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    source, prefix = tmp_path / "source", tmp_path / "prefix"
    source.mkdir()
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    for word, rest in stages()[0]:
        if word == "ENV":
            environ |= dict(pair.split("=", 1) for pair in rest.split())
        elif word == "COPY":
            *names, _ = rest.split()
            for name in names:
                _copied(ROOT / name, source / name)
        elif word == "RUN":
            line = rest.replace(PREFIX, str(prefix)).replace("python3 -m venv", f"{sys.executable} -m venv")
            done = subprocess.run(
                ["/bin/sh", "-c", line], cwd=source, env=environ, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)
    program, *words = command()
    serves([prefix / "bin" / program, *words], client, env={"ASYNCMQ_REDIS_URL": server.url}, cwd="/")


def _run(*words: str | Path, **options: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


BUILDERS = ("buildah", "debootstrap", "unshare", "chroot")


Store = Sequence[str | Path]
"""The words by which buildah and podman find the images of this test."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The image, built on a local Debian without any registry of images."""
    folder = tmp_path_factory.mktemp("image")
    base = folder / "base"
    store = ("--storage-driver", "vfs", "--root", folder / "store", "--runroot", folder / "run")

    def buildah(*words: str | Path) -> str:
        return _run("buildah", *store, *words, cwd=ROOT)

    suite = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert suite
    packages = "--include=python3,python3-venv,ca-certificates"
    _run("debootstrap", "--variant=minbase", packages, suite[1], base)
    made = buildah("from", "scratch")
    buildah("add", "--quiet", made, base, "/")
    buildah("commit", "--quiet", made, "localhost/base")
    shutil.rmtree(base)
    # Where this host asks for packages, and whom it trusts.
    reported = [
        path for path in ("/etc/pip.conf", "/etc/ssl/certs", "/etc/resolv.conf") if Path(path).exists()
    ]
    mounts = [word for path in reported for word in ("--volume", f"{path}:{path}:ro")]
    options = (
        "--isolation",
        "chroot",
        "--layers=false",
        "--pull-never",
        "--build-arg",
        "BASE=localhost/base",
    )
    buildah("bud", *options, *mounts, "--tag", "asyncmq-cli", "--file", "Containerfile", ".")
    try:
        yield store
    finally:
        buildah("umount", "--all")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reachable() -> Iterator[tuple[str, redis.Redis]]:
    """A Redis on a port of this host that containers can reach."""
    port = free_port()
    with PrivateRedis(extra=("--port", str(port), "--bind", "127.0.0.1")):
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url) as client:
            yield url, client


builds = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, BUILDERS)), reason=f"needs root, {', '.join(BUILDERS)}"
)


@pytest.mark.extended
@builds
def test_the_image_is_built_and_runs_on_a_read_only_file_system(store: Store) -> None:
    said = dict(stages()[1])
    image = Path(
        _run("buildah", *store, "mount", _run("buildah", *store, "from", "--pull-never", "asyncmq-cli"))
    )
    inside = ["/usr/bin/env", "-i", f"PATH={PREFIX}/bin:/usr/bin:/bin"]
    script = (
        'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && mount -t proc proc "$0/proc" && exec "$@"'
    )
    enter = ["unshare", "--mount", "sh", "-c", script, str(image)]
    enter += ["chroot", f"--userspec={said['USER']}", str(image), *inside]

    def refused(*words: str) -> str:
        return subprocess.run([*enter, *words], capture_output=True, text=True, check=False).stderr

    assert "Read-only file system" in refused("touch", "/tmp/x")  # noqa: S108
    with reachable() as (url, client):
        serves([*enter, f"ASYNCMQ_REDIS_URL={url}", *command()], client)


@pytest.mark.extended
@builds
@pytest.mark.skipif(shutil.which("podman") is None, reason="no podman here")
def test_a_container_runtime_runs_it(store: Store) -> None:
    """Run without root, without writable files and without capabilities."""
    options = ("--rm", "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    safe = (
        "--read-only",
        "--read-only-tmpfs=false",
        "--cap-drop",
        "all",
        "--security-opt",
        "no-new-privileges",
    )

    def run(runtime: str, *words: str) -> list[str | Path]:
        return ["podman", *store, "--runtime", runtime, "run", *options, *safe, *words]

    # Not every runtime knows the cgroups of every host.
    runtimes = [name for name in ("crun", "runc") if shutil.which(name)]
    tried = {
        name: subprocess.run(run(name, "asyncmq-cli", "--version"), capture_output=True, text=True)
        for name in runtimes
    }
    working = [name for name, done in tried.items() if done.returncode == 0]
    if not working:
        pytest.skip(f"podman runs no container here: {[done.stderr for done in tried.values()]}")
    with reachable() as (url, client):
        env = ("--env", f"ASYNCMQ_REDIS_URL={url}")
        inside = "id -u; touch /tmp/x 2>&1; grep CapEff /proc/self/status"
        reported = _run(*run(working[0], "--entrypoint", "sh", "asyncmq-cli", "-c", inside)).splitlines()
        assert reported[0] == dict(stages()[1])["USER"].partition(":")[0]
        assert "Read-only file system" in reported[1] and set(reported[2].split()[1]) == {"0"}
        serves(run(working[0], *env, "asyncmq-cli", *command()[1:]), client)
