"""Public market data: each tranche's book from the shard's events, and who listens. No I/O.

A book begins with a snapshot asked of the shard; events before it are dropped by their number, those after
it applied. Subscribers get a snapshot, then one delta for all that a run of events changed: deltas end
where a command's changes end, so a book is never shown half changed. ``seq`` is the tranche's public
sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from engine.frames import Book
from engine.reasons import Reason
from ext.records import AuctionIndicative, BookLevel, Phase, PhaseChanged, Trade
from gateway import protocol, wire_events
from gateway.books import BookSide, Level, PublicBook
from gateway.errors import BadParameters, CommandRefused
from gateway.listing import Listing
from gateway.session import Session
from gateway.words import PHASE_WORDS, SIDE_WORDS

PublicRecord = BookLevel | Trade | PhaseChanged | AuctionIndicative
PUBLIC_RECORDS: Final = (BookLevel, Trade, PhaseChanged, AuctionIndicative)
RETRY_AFTER_MS: Final = 500
FEEDS: Final = ("book", "trades", "status")


class TrancheMarket:
    """The public side of one tranche: its book, what is not yet told, and who listens to what."""

    def __init__(self, listing: Listing, ask_book: Callable[[int, int], None]) -> None:
        self.listing = listing
        self.book: PublicBook | None = None
        self.gaps = 0
        self._ask_book = ask_book
        self._early: list[PublicRecord] = []
        self._changed: dict[tuple[int, int], Level] = {}
        self._told = 0
        self._in_group = False
        self._status: dict[str, Any] | None = None
        self._listeners: dict[str, dict[Session, None]] = {feed: {} for feed in FEEDS}
        self._newcomers: dict[Session, None] = {}
        self._ask_book(listing.shard, listing.tranche)

    # From the shard ---------------------------------------------------------------------------------------

    def begin(self, book: Book) -> None:
        """Take the shard's snapshot and what came after it."""
        levels = (Level(*level) for level in book.levels)
        self.book = PublicBook(book.book_sequence, Phase(book.phase), levels)
        self._told = book.book_sequence
        self._changed.clear()
        self._in_group = False
        early, self._early = self._early, []
        for record in early:
            if record.header.sequence > book.event:
                self.take(record)
        self._newcomers.update(self._listeners["book"])
        self.flush()

    def take(self, record: PublicRecord) -> None:
        """Take the next public event of the tranche."""
        book = self.book
        if book is None:
            self._early.append(record)
            return
        if record.book_sequence <= book.sequence:
            return
        if record.book_sequence != book.sequence + 1:
            self._begin_anew(record)
            return
        book.sequence = record.book_sequence
        if isinstance(record, BookLevel):
            self._level(book, record)
        elif isinstance(record, Trade):
            self._tell("trades", "trade", wire_events.trade(record, self.listing))
        elif isinstance(record, PhaseChanged):
            book.phase = Phase(record.phase)
            self._tell_status(wire_events.phase_changed(record, self.listing))
        else:
            phase = PHASE_WORDS[book.phase]
            self._tell_status(wire_events.indicative(record, self.listing, phase))

    def _begin_anew(self, record: PublicRecord) -> None:
        """Events are missing: a book that may be wrong is shown to nobody."""
        self.gaps += 1
        self.book = None
        self._early = [record]
        self._ask_book(self.listing.shard, self.listing.tranche)

    def _level(self, book: PublicBook, record: BookLevel) -> None:
        level = Level(record.side, record.price_ticks, record.quantity_lots, record.orders)
        book.change(level)
        self._changed[level.side, level.price_ticks] = level
        self._in_group = not record.last

    # To the listeners -------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Tell listeners what changed since the last time, unless a command's changes are still coming."""
        book = self.book
        if book is None or self._in_group:
            return
        if self._changed:
            self._tell_changes(book)
        if self._newcomers:
            frame = protocol.notification("book", {"type": "snapshot", **self._snapshot(book)})
            for session in self._newcomers:
                session.send(frame)
            self._newcomers.clear()

    def _tell_changes(self, book: PublicBook) -> None:
        listeners = self._listeners["book"].keys() - self._newcomers.keys()
        if listeners:
            delta = {
                "symbol": self.listing.symbol,
                "type": "delta",
                "seq": book.sequence,
                "prev_seq": self._told,
                "changes": [self._change(level) for level in self._changed.values()],
                "checksum": book.checksum(),
            }
            frame = protocol.notification("book", delta)
            for session in listeners:
                session.send(frame)
        self._changed.clear()
        self._told = book.sequence

    def _change(self, level: Level) -> list[Any]:
        price = self.listing.grid.text(level.price_ticks)
        return [SIDE_WORDS[level.side], price, str(level.quantity_lots), level.orders]

    def snapshot(self) -> dict[str, Any] | None:
        """Return the book; None while there is none to show."""
        book = self.book
        return None if book is None or self._in_group else self._snapshot(book)

    def _snapshot(self, book: PublicBook) -> dict[str, Any]:
        return {
            "symbol": self.listing.symbol,
            "seq": self._told,
            "phase": PHASE_WORDS[book.phase],
            "bids": self._rows(book.bids),
            "asks": self._rows(book.asks),
            "checksum": book.checksum(),
        }

    def _rows(self, side: BookSide) -> list[list[Any]]:
        text = self.listing.grid.text
        return [[text(level.price_ticks), str(level.quantity_lots), level.orders] for level in side]

    def _tell_status(self, status: dict[str, Any]) -> None:
        self._status = status
        self._tell("status", "status", status)

    def _tell(self, feed: str, method: str, params: dict[str, Any]) -> None:
        if self._listeners[feed]:
            frame = protocol.notification(method, params)
            for session in self._listeners[feed]:
                session.send(frame)

    # Who listens ------------------------------------------------------------------------------------------

    def subscribe(self, feed: str, session: Session) -> None:
        """Add a listener; a book's gets a snapshot first, a status's the last status."""
        self._listeners[feed][session] = None
        if feed == "book":
            self._newcomers[session] = None
            self.flush()
        elif feed == "status" and self.book is not None:
            session.send(protocol.notification("status", self._status or self._bare_status(self.book)))

    def _bare_status(self, book: PublicBook) -> dict[str, Any]:
        return {"symbol": self.listing.symbol, "seq": book.sequence, "phase": PHASE_WORDS[book.phase]}

    def unsubscribe(self, feed: str, session: Session) -> None:
        """Remove a listener, if it is one."""
        self._listeners[feed].pop(session, None)
        if feed == "book":
            self._newcomers.pop(session, None)

    @property
    def phase(self) -> str | None:
        """The phase's word; None while not known."""
        return None if self.book is None else PHASE_WORDS[self.book.phase]


class MarketData:
    """The markets of all tranches. ``ask_book(shard, tranche)`` has a snapshot brought to :meth:`begin`."""

    def __init__(self, ask_book: Callable[[int, int], None]) -> None:
        self._ask_book = ask_book
        self._markets: dict[int, TrancheMarket] = {}
        self._touched: dict[TrancheMarket, None] = {}

    def listed(self, listings: Iterable[Listing]) -> None:
        """Open the market of every tranche that has none, and give the others their latest listing."""
        for listing in listings:
            market = self._markets.get(listing.tranche)
            if market is None:
                self._markets[listing.tranche] = TrancheMarket(listing, self._ask_book)
            else:
                market.listing = listing

    def begin(self, book: Book) -> None:
        """Take a snapshot from a shard."""
        if book.tranche in self._markets:
            self._markets[book.tranche].begin(book)

    def take(self, record: PublicRecord) -> None:
        """Take a public event."""
        market = self._markets.get(record.header.tranche)
        if market is not None:
            market.take(record)
            self._touched[market] = None

    def flush(self) -> None:
        """End a run of events: tell the listeners of books."""
        for market in self._touched:
            market.flush()
        self._touched.clear()

    def gaps(self) -> int:
        """Return how often a book had to be taken anew."""
        return sum(market.gaps for market in self._markets.values())

    def market(self, listing: Listing) -> TrancheMarket:
        """Return the market of a listing.

        Raises:
            CommandRefused: It is not open here yet (707).
        """
        market = self._markets.get(listing.tranche)
        if market is None:
            raise _not_here(listing)
        return market

    def snapshot(self, listing: Listing) -> dict[str, Any]:
        """Return a book. Raises CommandRefused (707) while there is none to show."""
        snapshot = self.market(listing).snapshot()
        if snapshot is None:
            raise _not_here(listing)
        return snapshot

    def forget(self, session: Session) -> None:
        """End all subscriptions of a session."""
        for market in self._markets.values():
            for feed in FEEDS:
                market.unsubscribe(feed, session)


def read_channel(channel: Any) -> tuple[str, str]:
    """Return (feed, symbol) of a channel such as ``book.ABST-A``. Raises BadParameters."""
    feed, _, symbol = channel.partition(".") if isinstance(channel, str) else ("", "", "")
    if feed not in FEEDS or not symbol:
        raise BadParameters("a channel is book.SYMBOL, trades.SYMBOL or status.SYMBOL")
    return feed, symbol


def _not_here(listing: Listing) -> CommandRefused:
    return CommandRefused(
        f"the book of {listing.symbol} is not here yet: shard {listing.shard} is away",
        Reason.SHARD_UNAVAILABLE,
        retry_after_ms=RETRY_AFTER_MS,
    )
