"""Losses. Networks come as arguments."""
