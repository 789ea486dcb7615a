"""RetinaFace, the face detector."""
