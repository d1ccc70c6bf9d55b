"""Statistics of results: pure functions of arrays."""
