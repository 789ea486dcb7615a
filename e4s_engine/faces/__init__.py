"""Where faces are in a photo."""
