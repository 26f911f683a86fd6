"""HDFS, by its RPC protocol or over HTTP."""
