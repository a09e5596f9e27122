"""Knowledge base in, trained weights and scores out."""
