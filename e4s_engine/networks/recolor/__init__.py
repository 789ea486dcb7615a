"""Re-colouring of the longer paper: a face in the colours of another photo's same parts."""
