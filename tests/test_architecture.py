"""What holds for the whole program: imports do nothing and go one way, nothing is unpickled, no key is shown."""

from __future__ import annotations

import ast
import copy
import io
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Secret, Settings

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "optimizers", "workflows", "utils")
FILES = sorted([*(path for room in ROOMS for path in (ROOT / room).rglob("*.py")), *ROOT.glob("main.py")])
MAY_IMPORT = {
    "core": {"core"},
    "optimizers": {"core", "optimizers"},
    "utils": {"core", "utils"},
    "workflows": {"core", "optimizers", "utils", "workflows"},
    "main": {"core", "optimizers", "utils", "workflows"},
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
FORBIDDEN_CALLS = {"eval", "exec"}
HEAVY = {"langgraph", "langchain_core", "google.generativeai", "google.genai", "google.api_core", "grpc", "requests",
         "prompt_toolkit", "rich", "tenacity", "pygal", "jinja2", "charset_normalizer", "markdown_it", "tomlkit",
         "shtab", "opentelemetry"}  # fmt: skip
OURS = ("GEMINI_", "GOOGLE_API_KEY", "MAX_WORKERS", "QUERY_TIMEOUT", "CACHE_TTL", "OFFLINE_", "NO_COLOR", "HOME")
CANARY = "canary-5f2c9e-key"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_name(path) for path in FILES]


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module a file imports, at its top or inside a function, also by name through importlib."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            yield from ((str(arg.value), node.lineno) for arg in node.args if isinstance(arg, ast.Constant))


def called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def is_leaf(path: Path) -> bool:
    """True for a module that exists to wrap a heavy library: it names one at its top, and others load it late."""
    top = ast.Module([node for node in ast.parse(path.read_text("utf-8")).body if not isinstance(node, ast.If)], [])
    statements = [node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return any(within(name, heavy) for node in statements for name, _ in imported(node) for heavy in HEAVY)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(ROOT)))
def source(request: pytest.FixtureRequest) -> tuple[Path, ast.AST]:
    path: Path = request.param
    return path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


def test_every_room_is_looked_at() -> None:
    """The globs find the program."""
    assert {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in FILES} >= set(ROOMS)
    assert "core.task_pool" in MODULES


def test_imports_go_one_way(source: tuple[Path, ast.AST]) -> None:
    """main, workflows, optimizers beside utils, core: nobody looks up, siblings do not look at each other."""
    path, tree = source
    allowed = MAY_IMPORT[path.parts[0].removesuffix(".py")]
    for name, line in imported(tree):
        room = name.partition(".")[0]
        if room in MAY_IMPORT:
            assert room in allowed, f"{path}:{line} imports {name}"
        assert room not in ("tests", "benchmarks"), f"{path}:{line} imports {name}"


def test_vendors_stay_in_their_rooms(source: tuple[Path, ast.AST]) -> None:
    """An SDK of Google's is touched only by providers, LangGraph only by workflows, also inside functions."""
    path, tree = source
    for name, line in imported(tree):
        where = f"{path}:{line} imports {name}"
        if any(within(name, vendor) for vendor in ("google", "grpc", "grpc_status", "proto")):
            assert path.parts[:2] == ("core", "providers"), where
        if any(within(name, vendor) for vendor in ("langgraph", "langchain_core", "langchain")):
            assert path.parts[0] == "workflows", where


def test_nothing_stored_is_ever_executed(source: tuple[Path, ast.AST]) -> None:
    """No pickle, marshal, shelve, eval or exec: a file on disk may have been written by anybody."""
    path, tree = source
    for name, line in imported(tree):
        assert name.partition(".")[0] not in FORBIDDEN_MODULES, f"{path}:{line} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_CALLS, f"{path}:{node.lineno} uses {node.id}"


def test_only_the_console_prints_and_reads(source: tuple[Path, ast.AST]) -> None:
    """Everything else is silent and hands values on."""
    path, tree = source
    if path == Path("utils/console.py"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            assert node.id not in ("print", "input"), f"{path}:{node.lineno} uses {node.id}"


# Imports, each in a fresh interpreter.

PROBE = textwrap.dedent(
    """
    import importlib, os, sys, threading

    root, modules, ours = sys.argv[1], sys.argv[2].split(","), tuple(sys.argv[3].split(","))
    sys.path.insert(0, root)
    found, before = [], set(sys.modules)

    def writes(mode, flags):
        return any(c in (mode or "") for c in "wax+") or bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

    def audit(event, args):
        if event == "open" and isinstance(args[0], (str, bytes)):
            path = os.fsdecode(args[0])
            code = path.endswith((".py", ".pyc", ".so", ".pth"))
            own = os.path.abspath(path).startswith((root + os.sep, os.getcwd())) and ".venv" not in path
            if writes(args[1], args[2]) or (own and not code):
                found.append(f"opens {path} {args[1]}")
        elif event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.mkdir", "os.remove")):
            frame = sys._getframe()
            while frame is not None and "urllib3" not in frame.f_code.co_filename:
                frame = frame.f_back
            if frame is None:  # urllib3 binds a loopback socket at its import to see whether there is IPv6
                found.append(event)

    def spy(environ, name, real=type(os.environ).__getitem__):
        if str(name).startswith(ours):
            caller = sys._getframe(1)
            while caller is not None:
                file = caller.f_code.co_filename
                if file.startswith(root + os.sep) and ".venv" not in file and "site-packages" not in file:
                    found.append(f"{file} reads {name}")
                    break
                caller = caller.f_back if "importlib" not in file else None
        return real(environ, name)

    type(os.environ).__getitem__ = spy
    sys.addaudithook(audit)
    for module in modules:
        importlib.import_module(module)
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    found += [f"starts {name}" for name in threads]
    loaded = sorted(set(sys.modules) - before)
    os.write(1, ("\\n".join(found) + "\\nLOADED " + " ".join(loaded)).encode())
    os._exit(0)
    """
)


def probe(tmp_path: Path, modules: list[str]) -> tuple[list[str], set[str]]:
    """Import the modules in a fresh interpreter; returns what they did beyond that, and what is loaded."""
    (tmp_path / ".env").write_text("GEMINI_API_KEY=from-the-file\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COV_")},
        "GEMINI_API_KEY": CANARY, "MAX_WORKERS": "7", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "default",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(ROOT), ",".join(modules), ",".join(OURS)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    said, _, loaded = done.stdout.rpartition("LOADED ")
    return said.split("\n"), set(loaded.split())


def test_importing_anything_does_nothing(tmp_path: Path) -> None:
    """No output, no file, no socket, no process, no thread, no look at our environment variables."""
    did, _ = probe(tmp_path, MODULES)
    assert [line for line in did if line] == []


def test_the_menu_need_not_wait_for_heavy_libraries(tmp_path: Path) -> None:
    """Only the modules that wrap a heavy library load it: main and everything else get by without, until it is used."""
    light = [name for name, path in zip(MODULES, FILES, strict=True) if not is_leaf(path)]
    _, loaded = probe(tmp_path, [name for name in light if not within(name, "workflows")])
    assert sorted(HEAVY & loaded) == []
    assert "core.parallel_executor" in loaded


def test_the_core_needs_the_standard_library_only(tmp_path: Path) -> None:
    """Providers and settings apart it loads nothing that was installed."""
    core = [name for name in MODULES if within(name, "core") and not within(name, "core.providers")]
    _, loaded = probe(tmp_path, core)
    tops = {name.partition(".")[0] for name in loaded if not name.startswith("_sysconfigdata")}  # named by platform
    assert sorted(tops - {"core"} - sys.stdlib_module_names) == []


# The key.


def test_the_key_is_in_no_text() -> None:
    """Not in repr, str, format, logs or a traceback of whoever holds it."""
    settings = Settings(api_key=Secret(CANARY))
    log = io.StringIO()
    logger = logging.Logger("key hunt")
    logger.addHandler(logging.StreamHandler(log))
    logger.error("%s %r", settings, settings.api_key)
    try:
        raise ValueError(settings)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    texts = [repr(settings), str(settings), f"{settings.api_key} {settings.api_key!r}", log.getvalue(), shown]
    assert all(text and CANARY not in text for text in texts)
    assert settings.api_key is not None
    assert settings.api_key.reveal() == CANARY


def test_the_key_is_never_serialised() -> None:
    """Neither by pickle nor by a deep copy."""
    for serialise in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="never serialised"):
            serialise(Settings(api_key=Secret(CANARY)))
