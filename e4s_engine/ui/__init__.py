"""A page to swap and paint on (`e4s ui`): its files, its small server, visitors and their photos."""
