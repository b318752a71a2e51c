"""One module for each example incident, and what they share."""
