"""What stands in for the devices of a hospital: cameras, thermal cameras, scanners, spectrometers.

Tests, the demo, the soak and people who evaluate the product use it. Nothing here is imported by the daemon.
"""
