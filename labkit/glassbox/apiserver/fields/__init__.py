"""Who manages which field: the sets of server-side apply, and what applying does to an object.

Read in this order, each pure and knowing only those before it: `sets` (the algebra), `shapes` (how a schema says that
values are merged), `values` (walks over values: their fields, differences, merges), `managers` (the entries of
`metadata.managedFields` after a write). The edge is `apiserver/managed.py`.

Upstream: sigs.k8s.io/structured-merge-diff, staging/src/k8s.io/apimachinery/pkg/util/managedfields
"""
