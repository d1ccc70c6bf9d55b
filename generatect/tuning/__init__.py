"""Search for better settings: what may vary, what was tried, and one training after the other."""
