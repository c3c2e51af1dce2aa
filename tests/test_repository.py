"""The rules that the repository itself keeps: what lies where, how big, declared, documented."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SPACE_FILE_LIMIT = 10_000_000
TOP_LEVEL = {
    "LICENSE",
    "NOTICE",
    "README.md",
    "app.py",
    "assets",
    "exported",
    "pyproject.toml",
    "requirements-train.txt",
    "requirements.txt",
    "tagger",
    "tests",
}
TRAINING_ONLY = {
    "kedro",
    "kedro_datasets",
    "numba",
    "onnx",
    "onnxscript",
    "pandas",
    "plotly",
    "pyarrow",
    "pytorch_metric_learning",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "umap",
}


def tracked_files() -> list[Path]:
    """List the repository's files: git's where there is git, else all but what is ignored."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).exists()]
    skipped = {"__pycache__", "build", "dist", "data", "runs"}
    kept = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in skipped
            and not name.endswith(("_cache", ".egg-info"))
            and not name.startswith((".venv", ".hypothesis", ".git"))
        ]
        kept += [Path(folder, name) for name in names if not name.endswith((".pyc", ".pyi"))]
    return kept


def relative(path: Path) -> str:
    """Return the path as written from the root, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def serving_modules() -> list[Path]:
    """List the modules that the running app is made of.

    All of the package but training, figures for notebooks, and the program that makes maps.
    """
    package = ROOT / "tagger"
    others = (package / "training", package / "figures", package / "atlas" / "child.py")
    return [
        path
        for path in sorted(package.rglob("*.py"))
        if not any(path.is_relative_to(other) for other in others)
    ] + [ROOT / "app.py"]


def imported(tree: ast.AST) -> set[str]:
    """Collect the top-level names of all absolute imports under a syntax tree's node."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def requirements(name: str) -> list[Requirement]:
    """Parse a requirements file, following its ``-r`` lines."""
    found: list[Requirement] = []
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found += requirements(line.removeprefix("-r ").strip())
        elif line:
            found.append(Requirement(line))
    return found


def readme() -> str:
    """Return the README's text."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


def front_matter() -> dict[str, object]:
    """Return the README's front matter, as a Space reads it."""
    _, block, _ = readme().split("---\n", 2)
    return yaml.safe_load(block)


def command_after(marker: str) -> str:
    """Return the command of the code block that follows a marker, as ``.ci/run`` takes it."""
    pattern = re.escape(f"<!-- ci: {marker} -->") + r"\s*```\w*\n(.*?)\n```"
    match = re.search(pattern, readme(), re.DOTALL)
    assert match, f"README.md has no command marked {marker!r}"
    return match.group(1)


def test_the_top_level_holds_only_what_belongs_there() -> None:
    present = {relative(path).split("/")[0] for path in tracked_files()}
    assert {name for name in present if not name.startswith(".")} <= TOP_LEVEL


def test_no_file_is_too_big_for_a_space() -> None:
    too_big = {
        relative(path): path.stat().st_size
        for path in tracked_files()
        if path.stat().st_size >= SPACE_FILE_LIMIT
    }
    assert too_big == {}


def test_the_licence_is_the_full_apache_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    headings = re.findall(r"^ {3}(\d+)\. ", text, re.MULTILINE)
    assert "Version 2.0, January 2004" in text
    assert headings == [str(number) for number in range(1, 10)]
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-train.txt"])
def test_requirements_have_lower_bounds_and_caps_only_with_a_reason(name: str) -> None:
    parsed = requirements(name)
    capped = {r.name for r in parsed if any(s.operator != ">=" for s in r.specifier)}
    assert all(any(s.operator == ">=" for s in r.specifier) for r in parsed)
    assert capped <= {"gradio"}
    assert len({canonicalize_name(r.name) for r in parsed}) == len(parsed)


def test_installed_requirements_are_those_declared() -> None:
    for requirement in requirements("requirements.txt"):
        installed = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(installed, prereleases=True), requirement


@pytest.mark.parametrize(
    ("name", "folder"),
    [("requirements.txt", "serving"), ("requirements-train.txt", "training")],
)
def test_every_library_that_is_imported_is_declared(name: str, folder: str) -> None:
    paths = (
        serving_modules()
        if folder == "serving"
        else sorted((ROOT / "tagger" / "training").rglob("*.py"))
    )
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    declared = {canonicalize_name(r.name) for r in requirements(name)}
    assert undeclared(set().union(*map(imported, trees)), declared | extras()) == set()
    # What only an extra brings is imported where it is used, and not before.
    assert undeclared(set().union(*map(imported_at_once, trees)), declared) == set()


def imported_at_once(tree: ast.Module) -> set[str]:
    """Collect the names of imports that run when the module itself is imported."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inner = [node for node in ast.walk(tree) if isinstance(node, functions)]
    for node in inner:
        node.body = []
    return imported(tree)


def extras() -> set[str]:
    """Names of what the package can use if it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = {"dev", "lint", "test"}
    return {
        canonicalize_name(Requirement(line).name)
        for name, lines in project["optional-dependencies"].items()
        if name not in tools
        for line in lines
    }


def undeclared(names: set[str], declared: set[str]) -> set[str]:
    """Of imported modules, those that no declared distribution brings."""
    owners = importlib.metadata.packages_distributions()
    return {
        module
        for module in names - set(sys.stdlib_module_names) - {"tagger"}
        if not declared & {canonicalize_name(owner) for owner in owners.get(module, [module])}
    }


@pytest.mark.parametrize("path", serving_modules(), ids=relative)
def test_serving_code_never_names_a_training_library(path: Path) -> None:
    assert imported(ast.parse(path.read_text(encoding="utf-8"))) & TRAINING_ONLY == set()


POISONED = """
import importlib, sys

heavy = {heavy!r}

class Refused(BaseException):
    pass

class Poison:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise Refused(name)

sys.meta_path.insert(0, Poison())
for module in {modules!r}:
    importlib.import_module(module)
    print(module)
"""


def test_serving_starts_where_no_training_library_can_be_imported() -> None:
    modules = [
        "tagger.services",
        "tagger.api",
        "tagger.ui",
        "tagger.server",
        "tagger.cli",
    ]
    # Gradio itself needs pandas, and asks whether scipy and the like are there.
    heavy = sorted(TRAINING_ONLY - {"pandas", "numba", "pyarrow", "scipy", "plotly"})
    program = POISONED.format(heavy=set(heavy), modules=modules)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == modules, ran.stderr
    assert ran.returncode == 0, ran.stderr


def test_each_command_of_the_readme_is_one_line_near_the_top() -> None:
    app, test = command_after("app"), command_after("test")
    for command in (app, test):
        assert "\n" not in command
        assert command.startswith("python3 -m venv ")
    assert app.endswith("python app.py")
    assert "-r requirements.txt" in app
    assert "-r requirements-train.txt" in test
    assert "pytest" in test
    assert readme().index("<!-- ci: test -->") < 5000


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "run_readme app" in text
    assert "run_readme test" in text


def test_the_front_matter_is_what_a_space_needs() -> None:
    space = front_matter()
    gradio = next(r for r in requirements("requirements.txt") if r.name == "gradio")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert space["sdk"] == "gradio"
    assert gradio.specifier.contains(str(space["sdk_version"]))
    assert Version(str(space["python_version"])) >= Version(project["requires-python"].strip(">="))
    assert (ROOT / str(space["app_file"])).is_file()
    assert {space["colorFrom"], space["colorTo"]} <= colours
    assert space["license"] == project["license"].lower()
    assert 0 < len(str(space["short_description"])) <= 60


def test_the_pictures_and_links_of_the_readme_are_there() -> None:
    body = readme()
    targets = re.findall(r"\]\(([^)\s]+)", body) + re.findall(
        r"(?:src|href|srcset)=\"([^\"]+)", body
    )
    local = {target.partition("#")[0] for target in targets if "://" not in target}
    assert {target for target in local if target and not (ROOT / target).exists()} == set()


def test_the_readme_shows_no_picture_from_elsewhere() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)", readme())
    pictures += re.findall(r"(?:src|srcset)=\"([^\"]+)", readme())
    assert [picture for picture in pictures if "://" in picture] == []


Function = ast.FunctionDef | ast.AsyncFunctionDef


def asserts_something(function: Function, helpers: dict[str, Function]) -> bool:
    """Tell whether a test asserts or expects something, itself or through a helper beside it."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else ""
        name = called.id if isinstance(called, ast.Name) else name
        if name in {"raises", "warns"} or name.startswith(("assert_", "check_", "expect")):
            return True
        # A program that ends in an error raises, if it is run so.
        if any(k.arg == "check" and ast.unparse(k.value) == "True" for k in node.keywords):
            return True
        rest = {key: helper for key, helper in helpers.items() if key != name}
        if name in helpers and asserts_something(helpers[name], rest):
            return True
    return False


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=relative)
def test_every_test_asserts_something(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    tests = [name for name in functions if name.startswith("test_")]
    idle = [name for name in tests if not asserts_something(functions[name], functions)]
    assert idle == []
