"""What people and programs see: JSON documents and tables. Formats only; computes nothing."""
