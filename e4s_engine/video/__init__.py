"""Swaps in clips: what must hold from one frame to the next."""
