"""The venue's configuration: one TOML file, overridden by the environment, every value with a default.

The file is ``abst.toml`` in the working directory unless ``--config`` or ``ABST_CONFIG`` names another. A
variable of the environment is the path of the value with double underscores, for example
``ABST_GATEWAY__PORT=9000``. What is empty is embedded: an empty ``postgres.dsn`` starts a PostgreSQL, an
empty ``chain.rpc_url`` an Anvil, an empty ``engine.ray_address`` a Ray, all of them on this machine and in
``data_directory``.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from venue.problems import ProblemNumber, VenueError

_PREFIX = "ABST_"
FILE_VARIABLE = "ABST_CONFIG"
FILE_DEFAULT = Path("abst.toml")


def _checked_key(value: str) -> str:
    try:
        if value and len(bytes.fromhex(value.removeprefix("0x"))) != 32:
            raise ValueError
    except ValueError:
        raise ValueError("a private key is 32 bytes in hex, or empty for the development key") from None
    return value


Address = Annotated[str, Field(pattern=r"^(0x[0-9a-fA-F]{40})?$")]
Port = Annotated[int, Field(ge=0, le=65535)]
PrivateKey = Annotated[str, AfterValidator(_checked_key)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PostgresSection(_Section):
    """Where the journal and everything made from it lives."""

    dsn: Annotated[str, Field(description="empty: an embedded server")] = ""
    port: Annotated[Port, Field(description="of the embedded server; 0: a free one, kept")] = 0


class ChainSection(_Section):
    """The EVM chain that settlement happens on."""

    rpc_url: Annotated[str, Field(description="empty: an embedded Anvil")] = ""
    chain_id: Annotated[int, Field(gt=0)] = 31337
    port: Annotated[Port, Field(description="of the embedded Anvil; 0: a free one")] = 8545
    block_seconds: Annotated[int, Field(ge=1, description="of the embedded Anvil")] = 1
    state_interval_seconds: Annotated[int, Field(ge=1, description="how often Anvil saves its state")] = 1
    finality: Annotated[Literal["depth", "tag"], Field(description="count blocks, or trust `finalized`")] = (
        "depth"
    )
    finality_blocks: Annotated[int, Field(ge=0, description="blocks on top of a final one")] = 3


class ContractsSection(_Section):
    """The venue's contracts, as `abst deploy` prints them; it settles in `cash` where only that is set."""

    dvp: Address = ""
    vault: Address = ""
    cash: Address = ""
    block: Annotated[int, Field(ge=0, description="they are complete in")] = 0


class EngineSection(_Section):
    """The matching engine: shards as Ray actors."""

    shards: Annotated[int, Field(ge=1, le=1024)] = 2
    ray_address: Annotated[str, Field(description="empty: a local Ray")] = ""
    host: Annotated[str, Field(description="address the shards listen on")] = "127.0.0.1"


class GatewaySection(_Section):
    """The WebSocket that participants connect to."""

    name: str = "gateway-1"
    host: str = "127.0.0.1"
    port: Port = 8460
    commands_in_flight_max: Annotated[int, Field(ge=1, description="per session")] = 1024


class SettlementSection(_Section):
    """Batches, transactions, finality, reconciliation."""

    batch_fills_max: Annotated[int, Field(ge=1)] = 1000
    batch_wait_seconds: Annotated[float, Field(gt=0, description="longest a fill waits for company")] = 1.0
    reconcile_seconds: Annotated[float, Field(gt=0)] = 2.0


class MetricsSection(_Section):
    """Prometheus metrics on the loopback interface: gateway, ledger, settlement, then a shard each."""

    port: Annotated[int, Field(ge=0, le=60_000, description="the gateway's; the others' follow; 0: none")] = (
        9460
    )


class KeysSection(_Section):
    """Private keys, 32 bytes in hex. Empty: a development key that everybody knows, refused off development
    chains.
    """

    administrator: Annotated[
        PrivateKey, Field(description="logs on to administer; deploys and owns contracts")
    ] = ""
    issuer: Annotated[PrivateKey, Field(description="mints tranche tokens, keeps the registry")] = ""
    operator: Annotated[PrivateKey, Field(description="submits batches")] = ""
    attestor: Annotated[PrivateKey, Field(description="the engine's: signs batches")] = ""


class Configuration(BaseSettings):
    """Everything that can be configured, checked; see :func:`load_configuration`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=FILE_DEFAULT
    )

    data_directory: Path = Path("abst-data")
    postgres: PostgresSection = PostgresSection()
    chain: ChainSection = ChainSection()
    contracts: ContractsSection = ContractsSection()
    engine: EngineSection = EngineSection()
    gateway: GatewaySection = GatewaySection()
    settlement: SettlementSection = SettlementSection()
    metrics: MetricsSection = MetricsSection()
    keys: KeysSection = KeysSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line before environment before file before defaults."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_configuration(file: Path | None = None, **overrides: Any) -> Configuration:
    """Read the configuration; ``overrides`` (from the command line) win over environment and file.

    Raises VenueError 902 when a file that was named does not exist, 901 naming every value that is wrong.
    """
    path = _file_to_read(file)
    try:
        reader = type("Configuration", (Configuration,), {"model_config": SettingsConfigDict(toml_file=path)})
        configuration: Configuration = reader(
            **{name: value for name, value in overrides.items() if value is not None}
        )
    except tomllib.TOMLDecodeError as error:
        raise VenueError(ProblemNumber.CONFIGURATION_INVALID, f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        remedy = "`abst config` prints every value with its meaning."
        raise VenueError(ProblemNumber.CONFIGURATION_INVALID, wrong, remedy) from error
    return configuration


def _file_to_read(file: Path | None) -> Path | None:
    named = file or (Path(os.environ[FILE_VARIABLE]) if os.environ.get(FILE_VARIABLE) else None)
    if named is None:
        return FILE_DEFAULT if FILE_DEFAULT.is_file() else None
    if not named.is_file():
        raise VenueError(ProblemNumber.FILE_MISSING, f"there is no configuration file {named}")
    return named


def as_toml(configuration: Configuration) -> str:
    """Return the configuration as a TOML file that gives it again, with every value's meaning; keys are not
    shown.
    """
    lines = [f"data_directory = {_toml(configuration.data_directory)}"]
    for name in type(configuration).model_fields:
        section = getattr(configuration, name)
        if isinstance(section, BaseModel):
            lines += ["", f"# {' '.join((type(section).__doc__ or '').split())}", f"[{name}]"]
            lines += [_toml_line(section, key) for key in type(section).model_fields]
    return "\n".join(lines) + "\n"


def as_json_object(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration as a JSON object; private keys show only whether they are set."""
    values = configuration.model_dump(mode="json")
    values["keys"] = {name: "set" if key else "development" for name, key in values["keys"].items()}
    return values


def as_environment(configuration: Configuration) -> dict[str, str]:
    """Return the variables that give a child process exactly this configuration, keys included."""
    values = configuration.model_dump(mode="json")
    flat = {
        f"{section}__{name}": value for section, part in _sections(values) for name, value in part.items()
    }
    flat["data_directory"] = str(configuration.data_directory.absolute())
    return {f"{_PREFIX}{name}".upper(): str(value) for name, value in flat.items()}


def _sections(values: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, part) for name, part in values.items() if isinstance(part, dict)]


def _toml_line(section: BaseModel, key: str) -> str:
    value, meaning = getattr(section, key), type(section).model_fields[key].description
    if isinstance(section, KeysSection) and value:
        return f"# {key} is set; {meaning}"
    line = f"{key} = {_toml(value)}"
    return f"{line}  # {meaning}" if meaning else line


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
