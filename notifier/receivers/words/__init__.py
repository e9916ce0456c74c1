"""What every kind of receiver says alike."""
