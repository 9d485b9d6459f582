"""Machinery without a domain: a journal, files that survive, a broker's client, a clock, a log."""
