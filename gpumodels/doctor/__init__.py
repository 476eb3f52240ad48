"""Checks of this machine, each with advice on how to fix what it finds."""
