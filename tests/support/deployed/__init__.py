"""Images, containers, pods and machines, for tests of what deploy/ holds."""
