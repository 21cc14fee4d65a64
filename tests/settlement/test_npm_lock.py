"""The lock file of the contracts' npm packages is whole, and belongs to no one registry."""

from __future__ import annotations

import json

from settlement.compile_contracts import CONTRACTS_DIR


def locked():
    """Packages of the lock file by name."""
    packages = json.loads((CONTRACTS_DIR / "package-lock.json").read_text())["packages"]
    return {path.rpartition("node_modules/")[2]: package for path, package in packages.items() if path}


def test_every_platforms_anvil_is_locked_so_that_npm_ci_agrees():
    packages = locked()
    anvil = packages["@foundry-rs/anvil"]
    assert {name: packages[name]["version"] for name in anvil["optionalDependencies"]} == anvil[
        "optionalDependencies"
    ]


def test_no_package_is_bound_to_a_registry():
    assert [name for name, package in locked().items() if "resolved" in package] == []
