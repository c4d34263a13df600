"""Layers of one bit: signs, weights, and the convolutions that are built of them.

Everything here is a float simulation that training can differentiate; sums of signs are whole
numbers and exact in float32 up to 2^24 terms, so a packed kernel can be equal to it.
"""
