"""Synthetic datasets: which volume is made where and with which seed, what is kept of it, and how it is told."""
