"""The execution store: reservations, outcomes, source positions and their projections."""
