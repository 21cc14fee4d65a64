"""A program in C loads the module and drives books through function pointers."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import ext.book_api

HERE = Path(__file__).parent
EXT = Path(ext.book_api.__file__).parent
EXPECTED = """\
9 0 0@0
1 1 5@100
6 0 5@100
2 2 2@100
6 0 3@100
4 1 6@101
6 0 0@100
6 0 4@101
5 9 0@0
levels 1: 4@101, leaves 4
3 1 4@101
6 0 0@101
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_c_program_drives_a_book(tmp_path: Path) -> None:
    program, library = tmp_path / "drive_books", sysconfig.get_config_var("LIBDIR")
    version = f"-lpython{sysconfig.get_config_var('LDVERSION')}"
    include = [f"-I{EXT}", f"-I{sysconfig.get_paths()['include']}"]
    linked = [f"-L{library}", f"-Wl,-rpath,{library}", version, "-lm", "-ldl", "-lpthread"]
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    command = ["cc", *warnings, *include, HERE / "drive_books.c", "-o", program]
    subprocess.run([*command, *linked], check=True, capture_output=True, text=True, timeout=60)
    environment = os.environ | {"PYTHONPATH": str(EXT.parent)}
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert (done.stdout, done.stderr, done.returncode) == (EXPECTED, "", 0)
