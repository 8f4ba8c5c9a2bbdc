"""Which model with which settings: a search on the validation part, and one look at the test part."""
