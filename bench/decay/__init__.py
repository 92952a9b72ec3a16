"""The decay laboratory: how early alerts fire, and how quiet they are otherwise."""
