"""Those who listen to a run's events and show them."""
