"""Training: configuration, loop, losses, schedules and resumable state."""
