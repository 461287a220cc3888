"""What lesson 05 promises to show: volumes and secrets."""

SHOWN = {
    "container-ends": r"^remember the milk\nremember the milk\ncat: /tmp/list: No such file",
    "empty-dir": r"pod/notes replaced[\s\S]+^cat: /notes/list: No such file",
    "bound": r"claim/diary created[\s\S]+Claim diary · Bound, 10Mi, RWO\n +└─ \S+ pvc-\S+ · Bound, .+, then Delete",
    "claim": r"pod/diary replaced[\s\S]+^dear diary[\s\S]+\+ 1 new, ~ 1 changed, - 1 gone",
    "modes": r"✓ pv/pvc-\S+ is gone[\s\S]+spec\.accessModes: Forbidden: may not use ReadWriteOncePod with other",
    "base64": r"^ +pin: NDcxMQ==\n4711",
    "files-and-variables": r"^pin\nuser\n4711\n4711$",
    "tmpfs": r"^ on /etc/bank type tmpfs",
    "too-large": r'"big" is invalid: data: Too long: may not be more than 1048576 bytes[\s\S]+secret "till" not found',
    "config-map": r"menu patched\nfideua\npaella",
    "immutable": r"data: Forbidden: field is immutable when `immutable` is set",
    "token": r"subject +system:serviceaccount:lab-05:default\naudience \['bank'\]\nvalid +10 minutes",
    "review": r"^system:serviceaccount:lab-05:default\n\[invalid bearer token, .+ is invalid for the target.+\n"
    r"invalid bearer token",
    "store": r'^"pin":"NDcxMQ=="\n4711',
    "not-yet": r'✓ the API server has read first-key\.yaml.+\n"pin":"NDcxMQ=="',
    "encrypted": r"the PIN is in no file\nk8s:enc:aescbc:v1:key1:",
    "rotated": r"^k8s:enc:aescbc:v1:key2: …\n4711",
}
