"""Samplers. Networks come as arguments."""
