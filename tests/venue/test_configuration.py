from pathlib import Path

import pytest

from venue.configuration import (
    as_environment,
    as_json_object,
    as_toml,
    load_configuration,
)
from venue.problems import ProblemNumber, VenueError

KEY = "0x" + 32 * "1b"
SAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "production.toml"


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_file_and_environment_everything_is_embedded_with_defaults() -> None:
    configuration = load_configuration()
    assert (configuration.postgres.dsn, configuration.chain.rpc_url, configuration.engine.ray_address) == (
        "",
        "",
        "",
    )
    assert configuration.engine.shards == 2


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abst.toml").write_text("[gateway]\nport = 1\nname = 'of the file'\n[chain]\nport = 1\n")
    monkeypatch.setenv("ABST_GATEWAY__PORT", "2")
    configuration = load_configuration(chain={"port": 3})
    assert (configuration.gateway.name, configuration.gateway.port, configuration.chain.port) == (
        "of the file",
        2,
        3,
    )


def test_printed_defaults_read_back_as_the_same_configuration(tmp_path: Path) -> None:
    configuration = load_configuration(gateway={"port": 7}, data_directory=Path('a "quoted" place'))
    (tmp_path / "abst.toml").write_text(as_toml(configuration))
    assert load_configuration().model_dump() == configuration.model_dump()


def test_the_environment_of_a_child_gives_it_the_same_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = load_configuration(keys={"issuer": KEY}, data_directory=Path.cwd(), engine={"shards": 3})
    for name, value in as_environment(configuration).items():
        monkeypatch.setenv(name, value)
    assert load_configuration().model_dump() == configuration.model_dump()


def test_the_sample_for_production_is_valid_and_embeds_nothing() -> None:
    configuration = load_configuration(SAMPLE)
    assert configuration.postgres.dsn
    assert configuration.chain.rpc_url
    assert configuration.engine.ray_address
    assert set(as_json_object(configuration)["keys"].values()) == {"development"}


def test_keys_are_never_shown() -> None:
    configuration = load_configuration(keys={"issuer": KEY})
    assert "1b1b" not in as_toml(configuration)
    shown = as_json_object(configuration)["keys"]
    assert (shown["issuer"], shown["operator"]) == ("set", "development")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[gateway]\nport = 70000\n", "gateway.port"),
        ("[engine]\nshards = 0\n", "engine.shards"),
        ("[gatway]\nport = 1\n", "gatway"),
        ("[keys]\nissuer = 'secret'\n", "keys.issuer"),
        ("[contracts]\ndvp = '0x12'\n", "contracts.dvp"),
        ("port = = 1", "is not TOML"),
    ],
)
def test_a_wrong_value_is_problem_901_and_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "abst.toml").write_text(text)
    with pytest.raises(VenueError, match=named) as caught:
        load_configuration()
    assert caught.value.number is ProblemNumber.CONFIGURATION_INVALID


def test_a_file_that_was_named_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABST_CONFIG", "absent.toml")
    with pytest.raises(VenueError, match=r"absent\.toml") as caught:
        load_configuration()
    assert caught.value.number is ProblemNumber.FILE_MISSING
