"""What we say, and how we write it."""
