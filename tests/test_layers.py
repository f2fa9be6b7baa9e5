"""The house keeps its shape: imports point down, and start-up stays light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import asyncmq_cli
import asyncmq_cli.app

ROOT = Path(asyncmq_cli.__file__).parent
PACKAGES = {".".join((ROOT.name, *path.parent.relative_to(ROOT).parts)) for path in ROOT.rglob("__init__.py")}
FILES = sorted(ROOT.rglob("*.py"))
SERVICES = sorted((ROOT / "services").rglob("*.py"))
HEAVY = {"redis", "rich", "textual", "orjson", "croniter", "asyncmq", "pydantic"}
# What each floor may stand on. `demo` is a house of its own beside them.
GROUND = {
    "models",
    "errors",
    "hints",
    "exit_status",
    "config",
    "contexts",
    "durations",
    "system",
    "__init__",
}
ALLOWED = {
    "commands": {"commands", "ui", "cli", "services", "output", "demo"} | GROUND,
    "ui": {"ui", "cli", "services", "output"} | GROUND,
    "cli": {"cli", "services", "output"} | GROUND,
    "services": {"services", "storage"} | GROUND,
    "storage": {"storage"} | GROUND,
    "output": {"output"} | GROUND,
    "demo": {"demo"} | GROUND,
    "completion": {"completion", "commands", "cli", "services", "output"} | GROUND,
    "app": {"completion", "commands", "cli", "output"} | GROUND,
    "__main__": {"app"} | GROUND,
}


def floor(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> set[str]:
    """The package's own modules that a file imports, within functions too."""
    return imports_in(ast.parse(path.read_text()))


def imports_in(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "asyncmq_cli":
            of_package = node.module in PACKAGES
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if of_package else {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "asyncmq_cli"}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    allowed = ALLOWED.get(parts[0], GROUND)
    wrong = {name for name in imports_of(path) if floor(name) not in allowed}
    # The session is the one door: it alone opens the store, and hands out the services built on it.
    if parts == ("cli", "session"):
        wrong -= {"asyncmq_cli.storage.store"}
    assert not {name for name in wrong if not name.startswith("asyncmq_cli.__version__")}


# The doors to storage, and the modules from which services take values, errors and rules.
DOORS = {"asyncmq_cli.storage.store", "asyncmq_cli.storage.completion"}
VALUES = {
    "asyncmq_cli.storage." + name
    for name in (
        *("client.scan", "integrity.damaged_keys", "integrity.evidence", "integrity.repairs"),
        *(
            "read.lists",
            "read.liveness",
            "read.pieces",
            "read.queue_names",
            "read.queues",
            "read.repeatables",
            "read.sizes",
            "read.workers",
        ),
        *(
            "schema.codec",
            "schema.job",
            "schema.job_dump",
            "schema.keys",
            "schema.records",
        ),
        *("write.audit_stream", "write.job_changes", "write.metrics_stream", "write.scripts"),
    )
}


def test_the_allowed_modules_of_storage_exist() -> None:
    assert set(map(module_of, FILES)) >= DOORS | VALUES


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.relative_to(ROOT)))
def test_services_reach_redis_through_the_doors_alone(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert {name for name in imports_in(tree) if floor(name) == "storage"} <= DOORS | VALUES
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncmq_cli.storage"):
            for alias in node.names:
                if node.module not in DOORS:
                    assert not takes_a_client(str(node.module), alias.name), f"{node.module}.{alias.name}"


def takes_a_client(module: str, name: str) -> bool:
    """Whether a function, or one of those of a module, is given a Redis client."""
    found = getattr(import_module(module), name, None) or import_module(f"{module}.{name}")
    each = vars(found).values() if inspect.ismodule(found) else [found]
    functions = [one for one in each if inspect.isfunction(one) and one.__module__.endswith(name)]
    functions += [found] if inspect.isfunction(found) else []
    return any("client" in inspect.signature(function).parameters for function in functions)


def test_no_two_modules_of_a_floor_need_each_other() -> None:
    """Nor in a cycle of several modules, including imports within functions; imports for types are
    allowed."""
    for package in PACKAGES - {ROOT.name}:
        folder = ROOT.joinpath(*package.split(".")[1:])
        graph = {module_of(path): running_imports_of(path) for path in sorted(folder.glob("*.py"))}
        list(TopologicalSorter(graph).static_order())


def module_of(path: Path) -> str:
    return ".".join((ROOT.name, *path.relative_to(ROOT).with_suffix("").parts))


def running_imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    return imports_in(tree)


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        (["--version"], {*HEAVY, "msgspec"}),
        (["--help"], {*HEAVY, "msgspec"}),
        ([], {*HEAVY, "msgspec"}),
        # A command makes values of `models`, which are msgspec's: its import takes 5 ms, where
        # dataclasses took 20.
        (["jobs", "list", "--help"], HEAVY),
        (["help", "jobs", "retry"], HEAVY),
    ],
)
def test_start_up_imports_nothing_heavy(args: list[str], heavy: set[str]) -> None:
    code = (
        "import sys; from asyncmq_cli.app import run; "
        f"status = run({args!r}); "
        f"sys.stderr.write(' '.join(sorted({heavy!r} & set(sys.modules)))); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_start_up_without_a_command_builds_no_values_of_jobs() -> None:
    """It would not use them."""
    code = "import sys, asyncmq_cli.app; print('asyncmq_cli.models.jobs' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_importing_every_command_module_imports_nothing_heavy() -> None:
    files = [path for name in ("cli", "commands") for path in sorted((ROOT / name).rglob("*.py"))]
    names = [module_of(path) for path in files]
    code = f"import sys, {', '.join(names)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_command_neither_draws_nor_asks_redis_by_itself() -> None:
    for path in [path for name in ("cli", "commands") for path in sorted((ROOT / name).rglob("*.py"))]:
        names = {name for node in ast.walk(ast.parse(path.read_text())) for name in foreign_names(node)}
        assert not names & {"rich", "redis", "orjson"}, path


def foreign_names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()


def test_every_lua_file_opens_with_its_contract() -> None:
    for path in (ROOT / "storage" / "write" / "lua").glob("*.lua"):
        text = path.read_text()
        assert text.startswith("-- "), path
        if path.stem != "prelude":
            assert all(word in text for word in ("-- KEYS", "-- ARGV", "-- Returns")), path


def test_an_unbuilt_command_has_the_same_help_line_as_the_built_one() -> None:
    root = asyncmq_cli.app._built()
    listed = {name: text for name, text, _ in root.entries()}
    assert listed
    for name, text in listed.items():
        assert root.get_command(None, name).get_short_help_str(1000) == text


@pytest.mark.parametrize(
    "line", ["jobs list mail --state failed --q x --page 2", "metrics prometheus --output /dev/null"]
)
def test_values_are_parsed_without_pydantic(line: str) -> None:
    args = [*line.split(), "--redis-url", "unix:///nowhere"]
    code = f"import sys; from asyncmq_cli.app import run; print(run({args!r}), 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 False\n"


def test_a_command_is_imported_alone() -> None:
    code = (
        "import sys; from asyncmq_cli.app import run; run(['queues', 'list', '--help']); "
        "sys.stderr.write(' '.join(name for name in sys.modules if name.startswith('asyncmq_cli.c')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    commands = {name for name in done.stderr.split() if name.startswith("asyncmq_cli.commands.")}
    assert commands == {"asyncmq_cli.commands.queues"}


def test_every_number_is_read_by_a_callback() -> None:
    """Values reach the commands as text unless a callback reads them."""
    root = asyncmq_cli.app._built()
    nodes = [root.get_command(None, name) for name in root.commands]
    nodes += [verb for node in nodes for verb in getattr(node, "commands", {}).values()]
    texts = {str, list[str], bool}
    for param in [param for node in nodes for param in node.params]:
        annotation = param.type_descriptor.annotation
        assert annotation in texts or param.callback is not None, (param.name, annotation)
