"""Sending recorded or generated order flow through a venue and comparing what comes out with what must."""
