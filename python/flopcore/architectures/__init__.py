"""Graph builders for known families of networks."""
