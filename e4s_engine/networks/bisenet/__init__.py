"""BiSeNet, the face parser."""
