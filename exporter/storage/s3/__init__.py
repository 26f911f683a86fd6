"""S3 by its own protocol, through botocore."""
