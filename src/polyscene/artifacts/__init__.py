"""Fitted parts as data: folders of JSON and safetensors with digests, and the shelves they stand on."""
