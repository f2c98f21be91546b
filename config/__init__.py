"""Settings, their layers and origins, and the seams to time and chance."""
