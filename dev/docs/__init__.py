"""What documentation is generated from the code, and the licences of what the worker runs with."""
