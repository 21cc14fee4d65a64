"""A build that checks every access and every sum, run over random commands of all kinds.

GCC's address and undefined-behaviour sanitizers end the program at the first access out of bounds or
after a free, the first overflow, shift or misaligned load; what the book answers must be the naive book's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ext.order_book

ROOT = Path(ext.order_book.__file__).parent.parent
SANITIZE = "-g -O1 -w -fPIC -shared -fwrapv -fsanitize=address,undefined -fno-sanitize-recover=undefined"
RANDOM_COMMANDS = """
import random
from ext.book_records import *
from ext.naive_order_book import NaiveOrderBook
from ext import order_book

def order(chance, order_id):
    kind, extra = chance.random(), {}
    order_type, tif = OrderType.LIMIT, TimeInForce.GTC
    if kind < 0.2:
        order_type = chance.choice([OrderType.STOP, OrderType.STOP_LIMIT])
        extra["stop_price_ticks"] = price(chance)
    elif kind < 0.4:
        extra["peak_lots"] = chance.randint(1, 6)
    elif kind < 0.6:
        tif, extra["expiry_ns"] = TimeInForce.GTD, chance.randint(1, 900)
    elif kind < 0.7:
        tif = chance.choice([TimeInForce.IOC, TimeInForce.FOK])
    lots = chance.choice([chance.randint(1, 20), chance.randint(1, 20), QUANTITY_LOTS_MAX])
    guard = {"owner": chance.randint(0, 3), "self_trade": chance.randint(0, 4), "group": chance.randint(0, 2)}
    return pack_add(order_id, chance.randint(1, 2), price(chance), lots, tif, order_type, **guard, **extra)

def price(chance):
    return chance.choice([chance.randint(1, 12), chance.randint(1, 300), PRICE_TICKS_MAX])

def command(chance, step):
    kind, named = chance.random(), chance.randint(1, step)
    if kind < 0.7:
        return order(chance, step)
    if kind < 0.8:
        return pack_cancel(named)
    if kind < 0.9:
        return pack_replace(named, price(chance), chance.randint(1, 30))
    if kind < 0.93:
        return pack_uncross() + pack_set_phase(chance.choice([1, 2, 2, 2, 4]), price(chance))
    if kind < 0.96:
        return pack_clock(step)
    if kind < 0.97:
        return pack_mass_cancel(chance.randint(0, 3))
    distance = chance.choice([0, 0, 3, COLLAR_TICKS_MAX])
    return pack_set_rules(
        static_collar_ticks=distance, dynamic_collar_ticks=distance, interruption_ns=5, random_end_ns=5,
        seed=step, allocation=chance.randint(0, 1), flags=chance.randint(0, 1),
    )

for seed in range(6):
    chance, fast, naive = random.Random(seed), order_book.OrderBook(), NaiveOrderBook()
    for step in range(1, 600):
        commands = command(chance, step) if step > 1 else pack_set_phase(Phase.CONTINUOUS, 6)
        assert fast.apply(commands) == naive.apply(commands)
    fast._check()
    again = order_book.OrderBook()
    again.restore(fast.snapshot())
    assert again.digest() == naive.digest()
print(order_book.__file__)
"""


def library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs GCC on Linux")
def test_no_command_makes_the_book_reach_out_of_bounds_or_overflow(tmp_path: Path) -> None:
    built = tmp_path / "ext"
    shutil.copytree(ROOT / "ext", built, ignore=shutil.ignore_patterns("*.so", "*.c", "*_api.h"))
    cython = [sys.executable, "-m", "cython", "-3", "-I", str(tmp_path), "ext/order_book.pyx"]
    subprocess.run(cython, cwd=tmp_path, check=True, timeout=100)
    module = built / f"order_book{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_paths()['include']}"
    compiler = ["gcc", *SANITIZE.split(), include, str(built / "order_book.c"), "-o", str(module)]
    subprocess.run(compiler, check=True, timeout=100)
    preload = f"{library('libasan.so')} {library('libubsan.so')}"
    environment = os.environ | {"LD_PRELOAD": preload, "PYTHONPATH": str(tmp_path)}
    environment["ASAN_OPTIONS"] = "detect_leaks=0"
    done = subprocess.run(
        [sys.executable, "-c", RANDOM_COMMANDS], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.strip() == str(module)
