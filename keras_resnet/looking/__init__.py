"""A look at data before a training: what is there, what cannot be read, what is there twice, what is uneven."""
