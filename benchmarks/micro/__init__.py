"""What each stage costs by itself; of use beside the same on another commit."""
