"""What may be shown: the filter language, and eligibility as something an index can push down."""
