"""Data: folder layouts, decoded caches, training patches, known image sets."""
