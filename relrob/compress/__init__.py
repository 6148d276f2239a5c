"""Float network -> quantised network, after training."""
