"""face-vid2vid, the reenactment of the published pipeline."""
