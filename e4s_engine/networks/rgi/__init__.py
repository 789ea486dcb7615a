"""RGI (E4S): encoder, per-region MLPs, generator, relighting."""
