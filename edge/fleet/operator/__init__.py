"""The other end of the fleet: what operators see of all devices, and write for them, through a broker."""
