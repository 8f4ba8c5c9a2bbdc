"""Scenario files: read, checked, fitted, run, and asked."""
