"""What happens beside training: averaging weights, looking at results, keeping files."""
