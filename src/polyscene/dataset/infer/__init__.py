"""What unknown files and columns mean: names, values and joins make a proposal, never a silent guess."""
