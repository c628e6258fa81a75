"""Worlds to act in, with exact truth where it can be had. One file a world."""
