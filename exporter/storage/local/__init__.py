"""Folders of the operating system: local disks, NFS, Lustre, FUSE."""
