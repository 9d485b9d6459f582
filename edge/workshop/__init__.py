"""Where bundles are built: from a bare network to one that is quantized and proven; never in the daemon."""
