"""Marks in files: that a picture was made or changed by a model, what was done, and reading such marks."""
