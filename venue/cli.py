"""The command ``abst``."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from venue.configuration import Configuration, as_json_object, as_toml, load_configuration
from venue.problems import VenueError
from venue.processes import ProcessName, run_process

EXIT_FAILED = 1
EXIT_PROBLEM = 2

app = typer.Typer(
    name="abst",
    help="The engine of trading venues for asset-backed security tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Configuration file; default abst.toml, if there is one.")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where all data is kept.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]


def main() -> None:
    """Run the command line; a VenueError becomes two lines on standard error and exit code 2."""
    try:
        app()
    except VenueError as problem:
        print(problem, problem.remedy, sep="\n" if problem.remedy else "", file=sys.stderr)
        sys.exit(EXIT_PROBLEM)


@app.command()
def config(file: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the configuration in force, every default included."""
    configuration = _load(file, data_dir)
    print(
        json.dumps(as_json_object(configuration)) if as_json else as_toml(configuration),
        end="\n" if as_json else "",
    )


@app.command()
def up(
    file: ConfigFile = None,
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; 0: a free one.")] = None,
    chain_port: Annotated[int | None, typer.Option(help="Port of the chain; 0: a free one.")] = None,
) -> None:
    """Run a whole venue on this machine, in the foreground, until Ctrl-C; data survives."""
    from venue.up import run_up

    run_up(_load(file, data_dir, port, chain_port))


@app.command()
def replay(
    orders: Annotated[Path, typer.Argument(help="Order tape, CSV or CSV.gz.")],
    fills: Annotated[Path | None, typer.Option(help="Fills that must come out, in order.")] = None,
    auction: Annotated[Path | None, typer.Option(help="Fills that must come out of the auction.")] = None,
    url: Annotated[str | None, typer.Option(help="A running venue; default: an embedded one.")] = None,
    connections: Annotated[int, typer.Option(min=1, max=20, help="Broker sessions to send over.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run.")] = False,
    tick: Annotated[int, typer.Option(min=1, help="One price tick, in the tape's price unit.")] = 25,
    price_unit: Annotated[
        int, typer.Option(min=1, help="The tape's price units in 1 clean per 100.")
    ] = 10_000,
    file: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a recorded tape through a venue, to final settlement, and compare every fill.

    Exit code 0 only if all fills are equal, all are final on chain, and reconciliation shows no break.
    """
    from venue.replay.flow import PriceUnit
    from venue.replay.tape_files import tape_flow
    from venue.runs import RunOptions, run_from_command_line

    configuration = _load(file, data_dir)
    flow, source = tape_flow(orders, fills, auction, PriceUnit(tick, price_unit))
    options = RunOptions(url, connections, resume, as_json)
    succeeded = run_from_command_line(flow, source, "replay", configuration, options)
    raise typer.Exit(0 if succeeded else EXIT_FAILED)


@app.command()
def demo(
    tranches: Annotated[int, typer.Option(min=1, max=6, help="How many tranches trade.")] = 3,
    commands: Annotated[int, typer.Option(min=20, help="Commands per tranche.")] = 1_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same flow.")] = 1,
    url: Annotated[str | None, typer.Option(help="A running venue; default: an embedded one.")] = None,
    connections: Annotated[int, typer.Option(min=1, max=20, help="Broker sessions to send over.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run.")] = False,
    file: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send generated order flow through a venue, to final settlement; like replay, but needs no file."""
    from venue.demo import demo_flow
    from venue.runs import RunOptions, run_from_command_line

    configuration = _load(file, data_dir)
    flow, source = demo_flow(tranches, commands, seed)
    options = RunOptions(url, connections, resume, as_json)
    succeeded = run_from_command_line(flow, source, "demo", configuration, options)
    raise typer.Exit(0 if succeeded else EXIT_FAILED)


@app.command()
def status(file: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print how the running venue stands; exit code 1 if a shard is away, a fill failed, or a break is
    open.
    """
    from venue.status import StatusReader, VenueStatus, board

    async def read() -> VenueStatus:
        reader = StatusReader(_load(file, data_dir))
        try:
            return await reader.read()
        finally:
            reader.close()

    found = asyncio.run(read())
    if as_json:
        print(json.dumps(found.as_json_object(), default=str))
    else:
        Console().print(board(found))
    raise typer.Exit(0 if found.is_well else EXIT_FAILED)


@app.command()
def watch(file: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Show a live board of shards, batches by state, oldest unsettled fill, fails and breaks, until
    Ctrl-C.
    """
    from venue.watch import run_watch

    run_watch(_load(file, data_dir))


@app.command()
def deploy(file: ConfigFile = None) -> None:
    """Put the venue's contracts on the configured chain, and print the configuration that names them."""
    from venue.deployed_contracts import deploy_contracts

    contracts = asyncio.run(deploy_contracts(_load(file)))
    print("[contracts]")
    print(*(f"{name} = {json.dumps(value)}" for name, value in contracts.model_dump().items()), sep="\n")


@app.command(name="process")
def process_command(
    name: Annotated[ProcessName, typer.Argument(help="Which process.")],
    file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Run one process of the venue from the configuration, until SIGTERM or Ctrl-C."""
    run_process(name, _load(file, data_dir))


def _load(
    file: Path | None, data_dir: Path | None = None, port: int | None = None, chain_port: int | None = None
) -> Configuration:
    gateway = None if port is None else {"port": port}
    chain = None if chain_port is None else {"port": chain_port}
    return load_configuration(file, data_directory=data_dir, gateway=gateway, chain=chain)


if __name__ == "__main__":
    main()
