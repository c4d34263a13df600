"""Diffusion for super-resolution: one Gaussian path for all models, and samplers that walk it.

Images are in [-1, 1] here (``ranges``). A ``Path`` (``path``, ``schedules``) says how much of the
image and how much noise each state holds; a ``Denoiser`` predicts one of four things
(``prediction``); a sampler (``samplers``) is a plain function of a ``Task``, a start and ``Noise``.
"""
