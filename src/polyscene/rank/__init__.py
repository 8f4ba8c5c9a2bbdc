"""Candidates in a better order: models and rankers that look at each candidate closely."""
