"""Measure .tflite files on phones over adb, and say what a number is worth.

``adb`` talks to the phone, ``facts`` and ``state`` read what it answers. ``runners`` and
``commands`` know the programs that measure; ``logs``, ``results_pb``, ``native`` and ``launch``
read what those print. ``campaign`` runs it all, ``document`` keeps it.
"""
