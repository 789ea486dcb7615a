"""Inpainting of the longer paper: a hole of a face filled by a GCFSR generator."""
