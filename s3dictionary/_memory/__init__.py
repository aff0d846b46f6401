"""Values that stay raw JSON until touched, and what it takes to roll them back. Knows neither S3 nor blocks."""
