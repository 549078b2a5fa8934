"""File formats: the table of formats and precisions, and a module with a converter for each."""
