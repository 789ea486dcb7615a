"""RRDBNet, the fourfold super-resolution of the published pipeline (RealESRNet)."""
