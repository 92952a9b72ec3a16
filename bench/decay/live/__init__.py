"""Real pipelines under a virtual clock: real threads, real tasks, real instruments."""
