"""One file per stage: weights together with all that is needed to rebuild and use them."""
