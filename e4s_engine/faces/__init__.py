"""Location of faces in a photo."""
