"""Alerts that fire while there is still time, with and without Prometheus."""
