"""What is refused, in upstream's words: generators of causes, one file a subject, over plain dicts.

A function takes a value and its path ("spec.containers[0].name") and yields a Cause for each fault, in upstream's
order, so that an answer lists every fault at once.

Upstream: pkg/apis/core/validation/validation.go, staging/src/k8s.io/apimachinery/pkg/api/validation
"""
