"""Words shared by every folder: codes, queries, slates, contracts, errors, time and chance."""
