"""The client's copies of public books, each proved by its checksum, and the channels to ask for again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.books import Level, PublicBook
from gateway.client_types import Instrument
from gateway.errors import BookDrift
from gateway.words import PHASES, SIDES


class BookCopies:
    """Books by symbol, built from ``book`` notifications.

    ``drifted`` is called with the symbol of a book whose sequence or checksum does not fit; the copy is
    dropped until a new snapshot comes.
    """

    def __init__(self, instruments: Mapping[str, Instrument], drifted: Callable[[str], None]) -> None:
        self._instruments = instruments
        self._drifted = drifted
        self._books: dict[str, PublicBook] = {}
        self.channels: dict[str, None] = {}
        self.drifts = 0

    def __getitem__(self, symbol: str) -> PublicBook:
        return self._books[symbol]

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._books

    def forget(self) -> None:
        """Drop all copies: the connection they came over is gone."""
        self._books.clear()

    def notified(self, params: dict[str, Any]) -> None:
        """Apply a ``book`` notification."""
        symbol = params["symbol"]
        try:
            if params["type"] == "snapshot":
                self._books[symbol] = self._snapshot(symbol, params)
            elif symbol in self._books:
                self._change(symbol, self._books[symbol], params)
        except BookDrift:
            self.drifts += 1
            self._books.pop(symbol, None)
            self._drifted(symbol)

    def status(self, params: dict[str, Any]) -> None:
        """Take the phase from a ``status`` notification."""
        if params["symbol"] in self._books:
            self._books[params["symbol"]].phase = PHASES[params["phase"]]

    def _snapshot(self, symbol: str, params: dict[str, Any]) -> PublicBook:
        grid = self._instruments[symbol].grid
        book = PublicBook(params["seq"], PHASES[params["phase"]])
        for side, rows in (("buy", params["bids"]), ("sell", params["asks"])):
            for price, quantity, orders in rows:
                book.change(Level(SIDES[side], grid.ticks(price), int(quantity), orders))
        _prove(book, params["checksum"])
        return book

    def _change(self, symbol: str, book: PublicBook, params: dict[str, Any]) -> None:
        if params["prev_seq"] != book.sequence:
            raise BookDrift(
                f"book of {symbol} is at {book.sequence}, the change follows {params['prev_seq']}"
            )
        grid = self._instruments[symbol].grid
        for side, price, quantity, orders in params["changes"]:
            book.change(Level(SIDES[side], grid.ticks(price), int(quantity), orders))
        book.sequence = params["seq"]
        _prove(book, params["checksum"])


def _prove(book: PublicBook, checksum: int) -> None:
    if book.checksum() != checksum:
        raise BookDrift(f"checksum {book.checksum()} is not the venue's {checksum}")
