"""What a generation will cost in operations, memory and time, and the settings that fit it into a given memory."""
