"""Kubernetes' protobuf encoding of the built-in kinds, both ways, between bytes and plain JSON values.

    envelope.py   the document: "k8s\\0", what it is, and the message's bytes
    read.py       a message's bytes → a JSON value          facts.py       the table of messages
    write.py      a JSON value → a message's bytes          forms.py       messages that JSON writes in another form
                                                            primitives.py  varints, lengths, what is skipped

No descriptors and no protobuf runtime: readers and writers are made of the table (`kinds/schema/protobuf.json.gz`), message by
message at the first use. Custom resources have no such encoding. Source:
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding and
https://protobuf.dev/programming-guides/encoding/
"""
