"""The networks on an NVIDIA GPU: kernels compiled, linked and launched as one graph."""
