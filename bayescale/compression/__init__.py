"""What one token holds: tables of measurements, measuring files, and factors drawn from them."""
