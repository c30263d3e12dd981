"""The slow, obvious model in ints and Fractions that the core is held against."""
