"""The local page: a report becomes a volume before one's eyes; volumes are looked at and compared."""
