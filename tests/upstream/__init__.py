"""Other projects' own tests, from their source distributions, on glassbox; fetched when run, never kept here."""
