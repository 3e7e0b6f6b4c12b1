"""Models that run on the user's own machine; `mini` is the one that comes with the package."""
