"""What is sent: kinds of events, topics full of them, and a sender at a steady rate."""
