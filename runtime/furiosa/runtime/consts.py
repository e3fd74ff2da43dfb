"""An empty module, which SDK programs may import."""
