"""What diffusion is here: noise schedules, and what of a slice is noised and predicted."""
