"""What ``overhead.py`` is made of: contestants, turns, figures and their history."""
