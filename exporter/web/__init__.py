"""HTTP: metrics, pages for people, and the JSON API."""
