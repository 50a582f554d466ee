//! A real S3 server.
