"""Post-training quantisation: schemes that need no training."""
