#!/bin/sh
# Makes an authority and the webhook's certificate, and puts them into a Secret. Uses openssl and kubectl.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=site-operator authority" -keyout ca.key -out ca.crt 2> /dev/null
openssl req -newkey rsa:2048 -nodes -subj "/CN=site-operator" -keyout tls.key -out tls.csr 2> /dev/null
printf 'subjectAltName=DNS:site-operator.site-operator.svc\n' > names
openssl x509 -req -days 365 -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out tls.crt 2> /dev/null
kubectl create namespace site-operator --dry-run=client -o yaml | kubectl apply -f -
kubectl create secret generic site-operator-certificate -n site-operator --dry-run=client -o yaml \
  --from-file=ca.crt --from-file=tls.crt --from-file=tls.key | kubectl apply -f -
