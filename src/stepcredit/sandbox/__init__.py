"""Processes that may do little: code of a model that calculates, commands of an agent in a folder of its own."""
