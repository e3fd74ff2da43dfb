"""Models of other frameworks, one module each, where SDK programs look for them."""
