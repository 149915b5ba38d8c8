"""What the detector of invented structures is tested on."""
