"""Recovery drills: a worker, its feed and its exchange in a scratch folder, killed and then judged."""
