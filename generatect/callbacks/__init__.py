"""Average weights, look at results and keep files beside training."""
