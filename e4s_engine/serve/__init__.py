"""The service: the engine's calls over HTTP (`e4s serve`). Nothing here that the engine should have."""
