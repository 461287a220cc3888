"""Whole classes of hand-ins, graded by the command."""
