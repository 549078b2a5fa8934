"""How features are computed: specs, options, blocks, and what is known of graphs."""
