"""Which tensor or weight of an int8 network costs quality, and what helps."""
