"""What `make run` shows: a broker, the daemon, real studies, an independent subscriber."""
