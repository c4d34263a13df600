"""Integer quantization of a graph, and its exact simulation.

``scheme`` names the values, ``affine`` maps reals to codes, ``observers`` and ``calibrate`` find
ranges, ``ptq`` quantizes, ``simulate`` runs the result as a named LiteRT kernel family does.
"""
