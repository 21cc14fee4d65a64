"""The command ``abst``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from venue.configuration import Configuration, as_json_object, as_toml, load_configuration
from venue.problems import VenueError
from venue.processes import ProcessName, run_process

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


@app.command(name="process")
def process_command(
    name: Annotated[ProcessName, typer.Argument(help="Which process.")],
    file: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Run one process of the venue from the configuration, until SIGTERM or Ctrl-C."""
    run_process(name, _load(file, data_dir))


def _load(file: Path | None, data_dir: Path | None = None) -> Configuration:
    return load_configuration(file, data_directory=data_dir)


if __name__ == "__main__":
    main()
