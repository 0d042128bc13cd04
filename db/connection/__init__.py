"""Sessions of the server: opening, setting up and telling them apart; what its errors mean."""
