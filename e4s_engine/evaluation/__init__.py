"""Evaluation: swaps a list of pairs and measures what can be measured with what is at hand."""
