"""Thin adapters to trainers and engines. One file each, imported only when asked for."""
