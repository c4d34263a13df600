"""The small NHWC op graph that counters, quantizer, simulation, writer and linter share.

``ops`` and ``graph`` define it, ``capture`` makes one from a torch module, ``passes`` bring it into
the form that a .tflite file holds, ``execute`` runs it in float32, ``shapes`` sizes it.
"""
