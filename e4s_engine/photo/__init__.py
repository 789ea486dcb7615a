"""Image operations that need no model: reading, safe writing, alignment and its inverse, blending."""
