"""Other programs' interfaces over the public engine, a folder each; each is imported by its program alone."""
