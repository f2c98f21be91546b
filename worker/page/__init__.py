"""The page for people at `/`: what a running worker does, in one look."""
