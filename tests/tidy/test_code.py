"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.tidy.sources import ROOT, calls, modules, tracked

NOT_IN_THIS_HOUSE = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "base",
    "data",
    "info",
    "misc",
}
MODULE_LINES_USUAL, MODULE_LINES_MAX = 250, 450
HAND_OVERS = (
    "queue.Queue",
    "queue.LifoQueue",
    "queue.PriorityQueue",
    "Queue",
    "queue.SimpleQueue",
    "SimpleQueue",
)
SLEEP_MAX_S = 0.05


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    named = {part for path, _ in modules("edge") for part in re.split(r"[/_.]", path)}
    assert named & NOT_IN_THIS_HOUSE == set()


def test_no_class_has_a_name_that_says_nothing() -> None:
    vague = re.compile(r"(Manager|Helper|Utils?|Base|Info|Misc)$")
    names = [
        f"{path}: {node.name}"
        for path, tree in modules("edge")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and vague.search(node.name)
    ]
    assert names == []


def test_every_module_opens_with_one_sentence() -> None:
    silent = [
        path for folder in ("edge", "tests") for path, tree in modules(folder) if not opens_well(path, tree)
    ]
    assert silent == []


def opens_well(path: str, tree: ast.Module) -> bool:
    said = (ast.get_docstring(tree) or "").split("\n\n")[0]
    return said.endswith((".", ":")) or (path.startswith("tests/") and path.endswith("__init__.py"))


def test_most_modules_are_short_enough_to_read() -> None:
    lines = [path.read_text().count("\n") for path in tracked("edge/**.py")]
    assert max(lines) <= MODULE_LINES_MAX
    assert sum(count > MODULE_LINES_USUAL for count in lines) < len(lines) / 5


def test_everything_is_caught_in_one_file_only() -> None:
    found = [
        path
        for path, tree in modules("edge")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert set(found) == {"edge/kit/stage.py"}


def test_every_queue_has_a_size() -> None:
    unbounded = [
        f"{path}:{call.lineno}"
        for path, tree in modules("edge")
        for name, call in calls(tree)
        if name in HAND_OVERS and not call.args and not call.keywords
    ]
    assert unbounded == []


def test_no_test_sleeps_longer_than_50_ms() -> None:
    long = [
        f"{path}:{call.lineno}"
        for path, tree in modules("tests")
        for name, call in calls(tree)
        if name in ("time.sleep", "sleep") and longest_s(call.args[0]) > SLEEP_MAX_S
    ]
    assert long == []


def longest_s(given: ast.expr) -> float:
    """Return the largest number a sleep may be given; a name may be anything."""
    numbers = [node.value for node in ast.walk(given) if isinstance(node, ast.Constant)]
    return max((float(number) for number in numbers if isinstance(number, int | float)), default=float("inf"))


def test_no_test_has_an_if() -> None:
    branching = [
        f"{path}: {function.name}"
        for path, tree in modules("tests")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        if any(isinstance(node, ast.If) for node in ast.walk(function))
    ]
    assert branching == []


def test_nothing_is_left_to_be_done() -> None:
    # Written apart, so that this file does not find itself.
    marks = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + r"XX)\b|raise NotImplemented" + "Error")
    left = [
        str(path) for path in tracked("*.py", "*.md", "*.yaml", "*.toml") if marks.search(path.read_text())
    ]
    assert left == []


def test_every_ignore_says_which_error_and_why() -> None:
    bare = re.compile(r"#\s*type:\s*ignore(?!\[[a-z, -]+\]\s+#\s*\S)")
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("edge/**.py", "tests/**.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line) and "re.compile" not in line
    ]
    assert silent == []


def test_no_tracked_file_knows_the_machine_it_was_written_on() -> None:
    machine = re.compile(
        r"(?<![\w.-])/(work|root|home/\w+|Users/\w+)/\w|https?://[^\s\"')]*(/simple\b|pypi\.org|jfrog|nexus|devpi)"
    )
    telling = [path.relative_to(ROOT) for path in tracked() if machine.search(text_of(path))]
    assert [str(path) for path in telling if path.name != "test_code.py"] == []


def text_of(path: Path) -> str:
    """Return what a file says; bytes that are no text say nothing."""
    return path.read_bytes().decode(errors="ignore")


HOMES = {
    "cryptography": ("edge/bundles/", "edge/demo/", "edge/fleet/"),
    "onnx": ("edge/bundles/", "edge/workshop/"),
    "onnxruntime": ("edge/inference/", "edge/workshop/"),
    "openvino": ("edge/inference/",),
    "paho": ("edge/kit/mqtt",),
    "pynetdicom": ("edge/sources/dicom", "edge/sinks/dicom", "edge/simulate/scu.py"),
    "pydantic": ("edge/config/", "edge/bundles/", "edge/fleet/", "edge/workshop/"),
    "pydantic_core": ("edge/config/", "edge/bundles/", "edge/fleet/", "edge/workshop/"),
    "pydicom": ("edge/formats/", "edge/studies/", "edge/simulate/"),
    "nibabel": ("edge/formats/nifti.py",),
    "rfc8785": ("edge/fleet/",),
    "typer": ("edge/cli/",),
    "SimpleITK": ("edge/preprocess/",),
    "av": ("edge/sources/", "edge/simulate/"),
    "spectral": ("edge/formats/",),
    "rampy": ("edge/preprocess/spectrum_rampy.py",),
    "pyradi": ("edge/preprocess/thermal_pyradi.py",),
}


def test_each_vendor_has_its_home() -> None:
    strays = [
        f"{path} imports {vendor}"
        for path, tree in modules("edge")
        for vendor in imported(tree) & HOMES.keys()
        if not path.startswith(HOMES[vendor])
    ]
    assert strays == []


def imported(tree: ast.Module) -> set[str]:
    """Return the top-level packages a module imports."""
    names = [
        *(alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names),
        *(node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)),
    ]
    return {name.partition(".")[0] for name in names}
