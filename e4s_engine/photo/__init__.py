"""Pixels without a model: reading, writing safely, aligning and back, blending."""
