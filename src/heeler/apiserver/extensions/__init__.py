"""What a server serves beside the built-in kinds."""
