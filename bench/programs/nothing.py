"""Do nothing: what a start costs."""
