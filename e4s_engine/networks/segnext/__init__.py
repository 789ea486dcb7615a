"""SegNeXt, the second face parser."""
