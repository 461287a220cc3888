"""The place of kubernetes.e2e_test, which source distributions lack: it lies inside the client's package."""
