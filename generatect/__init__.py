"""generatect: from a radiology report to a 3-D chest CT."""

__version__ = "0.1.0"
