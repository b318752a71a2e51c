"""What is said to people about an incident."""
