"""The control plane: what the fleet wants of this device, brought about or refused, and reported; and its other end."""
