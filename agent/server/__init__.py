"""The HTTP server: the application, its state and how it runs."""
