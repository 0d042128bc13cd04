"""The programs that this app is compared with: their sources, how they are made and started."""
