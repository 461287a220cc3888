"""kube-apiserver's part: the only way in to the store, for people and components alike."""
