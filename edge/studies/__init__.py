"""From objects to something a model can see."""
