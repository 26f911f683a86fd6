"""S3, and servers that speak its protocol, through the client of s3fs."""
