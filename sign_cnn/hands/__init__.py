"""Hands of strangers: landmarks as data."""
