#!/bin/sh
set -eu
cat etc/app.conf
grep replicas: manifests/deployment.yaml
