#!/bin/sh
set -e
echo "images are served at $registryDomain:$registryPort"
if command -v helm >/dev/null && [ -n "$KUBECONFIG" ]; then
    helm upgrade --install shop charts/shop --set web.tag=$WEB_TAG,web.replicas=$REPLICAS
else
    echo "no cluster is here: shop $WEB_TAG would be installed with $REPLICAS replicas"
fi
