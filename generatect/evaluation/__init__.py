"""Numbers about generated CT, and the pages that show them."""
