"""edgesr: train, quantize, export and measure small image super-resolution networks."""

__version__ = "0.1.0"
