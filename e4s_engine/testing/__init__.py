"""Stand-ins for tests and benchmarks."""
