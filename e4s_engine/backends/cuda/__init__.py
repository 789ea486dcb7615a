"""Backend for NVIDIA GPUs: compiles and links kernels and launches them as one graph."""
