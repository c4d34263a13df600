"""Measuring: interleaved timing, the environment that a number belongs to."""
