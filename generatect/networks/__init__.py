"""Architectures: nn.Module alone."""
