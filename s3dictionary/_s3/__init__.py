"""One object on S3: get, put, delete, versions. The only package that knows botocore."""
