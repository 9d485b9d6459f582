"""From what a network for pictures puts out to things, masks, points and numbers, as its manifest says."""
