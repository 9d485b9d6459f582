"""The control plane: what the fleet wants of this device, tried, kept or undone, and reported."""
