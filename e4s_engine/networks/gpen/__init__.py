"""GPEN, the face restoration of the published pipeline."""
