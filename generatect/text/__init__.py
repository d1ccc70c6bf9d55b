"""Reports to text features: encoders, a trainable adapter and an embedding cache."""
