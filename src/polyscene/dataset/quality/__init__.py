"""What is odd about data, why it matters for recommending, and how to mend it: one file per topic."""
