"""ParseNet, the parser of restored faces."""
