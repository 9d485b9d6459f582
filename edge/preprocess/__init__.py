"""Pure functions on pictures: same picture, same bytes."""
