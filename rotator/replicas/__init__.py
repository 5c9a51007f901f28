"""Several rotators on one PostgreSQL: who lives, who takes over whose work, and what no two may do at once."""
