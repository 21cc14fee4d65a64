"""The layout holds: who may import whom, what folders and files must and must not be."""

import ast
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ext", "engine", "gateway", "settlement", "venue", "benchmarks")
MAY_IMPORT = {
    "ext": {"ext"},
    "engine": {"ext", "engine"},
    "gateway": {"ext", "engine", "gateway"},
    "settlement": {"ext", "engine", "settlement"},
    "venue": {"ext", "engine", "gateway", "settlement", "venue"},
    "benchmarks": set(PACKAGES),
}
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+))", re.MULTILINE)


def sources(package: str, *suffixes: str) -> list[Path]:
    files = [path for suffix in suffixes for path in (ROOT / package).rglob(f"*{suffix}")]
    return [path for path in files if "node_modules" not in path.parts]


def imported_by_python(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return found


def imported_by_cython(path: Path) -> set[str]:
    return {first or second for first, second in CYTHON_IMPORT.findall(path.read_text())}


def own_packages(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules} & set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_layout_allows(package: str) -> None:
    imports = {path: imported_by_python(path) for path in sources(package, ".py", ".pyi")}
    imports |= {path: imported_by_cython(path) for path in sources(package, ".pyx", ".pxd")}
    wrong = {
        str(path.relative_to(ROOT)): forbidden
        for path, modules in imports.items()
        if (forbidden := own_packages(modules) - MAY_IMPORT[package])
    }
    assert wrong == {}


def test_relative_imports_are_not_used_so_that_every_import_is_seen() -> None:
    relative = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package, ".py", ".pyi")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_a_cython_import_of_a_higher_layer_would_be_seen() -> None:
    text = "from engine.money cimport cost\nimport gateway.session\n    cimport ext.book\n"
    assert {first or second for first, second in CYTHON_IMPORT.findall(text)} == {
        "engine.money",
        "gateway.session",
        "ext.book",
    }


def test_every_package_is_one_and_is_typed() -> None:
    for package in set(PACKAGES) - {"benchmarks"}:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file()


def test_tests_hold_no_package_that_would_shadow_one_of_ours() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_folders_of_tests_mirror_the_packages() -> None:
    folders = {
        path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert folders <= {*PACKAGES, "data"}


def test_no_installed_distribution_brings_a_package_of_our_names() -> None:
    ours = {"abst-venue", "abst_venue"}
    clashes = {
        name: others
        for name, distributions in packages_distributions().items()
        if name in PACKAGES and (others := set(distributions) - ours)
    }
    assert clashes == {}


def test_every_cython_module_is_built_and_has_a_stub_and_a_header() -> None:
    built = re.findall(r'sources = \["(ext/[\w/]+\.pyx)"\]', (ROOT / "pyproject.toml").read_text())
    modules = {str(path.relative_to(ROOT)) for path in sources("ext", ".pyx")}
    assert set(built) == modules
    for module in modules:
        assert (ROOT / module).with_suffix(".pyi").is_file()
        assert (ROOT / module).with_suffix(".pxd").is_file()


def test_the_makefile_stays_under_sixty_lines_and_has_the_promised_targets() -> None:
    text = (ROOT / "Makefile").read_text()
    assert len(text.splitlines()) < 60
    assert {"demo", "up", "test", "check", "bench", "clean"} <= set(
        re.findall(r"^([\w-]+):", text, re.MULTILINE)
    )


def test_continuous_integration_runs_only_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^make .*$", script, re.MULTILINE)
    assert commands == ["make test"]
    assert all(command in (ROOT / "README.md").read_text() for command in commands)


def test_no_wait_can_swallow_a_cancellation() -> None:
    """Before Python 3.12 ``asyncio.wait_for`` loses a cancellation that comes as its wait ends."""
    callers = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package, ".py")
        if "asyncio.wait_for(" in path.read_text()
    ]
    assert callers == [], "use `async with asyncio.timeout(...)`"
