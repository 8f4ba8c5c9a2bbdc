"""From sources to clean tables, codes, catalogues and splits."""
