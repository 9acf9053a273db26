#!/bin/sh
# Makes a Cluster of nodes that know no other: the first half are masters, the others their replicas. Does nothing to nodes that
# are in one already.
#
#   create.sh ADDRESS:PORT ...
set -eu

for node in "$@"; do
  until redis-cli -h "${node%:*}" -p "${node#*:}" ping | grep -q PONG; do sleep 0.2; done
done

first=$1
info() { redis-cli -h "${first%:*}" -p "${first#*:}" cluster info; }

if ! info | grep -q 'cluster_slots_assigned:16384'; then
  redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
fi
until info | grep -q 'cluster_state:ok'; do sleep 0.2; done
