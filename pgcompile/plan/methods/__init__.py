"""The methods of an emitted class, planned."""
