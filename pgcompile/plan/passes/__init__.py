"""What is done with the values of a whole method."""
