# shellcheck shell=bash
# Sourced by up and down: which processes belong to a state directory, and how
# to stop them.

# In the order in which they are stopped: those that write to the API server
# first, the API server before its store.
CLUSTER_PROCESSES=(kwok kube-scheduler kube-controller-manager kube-apiserver etcd)

# A directory without this file is not ours, and is never removed.
# shellcheck disable=SC2034 # used by up and down
CLUSTER_MARKER=.podfit-cluster

# running_pid STATE NAME: prints the pid of NAME if that process is alive and
# still is the one that was started for this state directory. A pid alone is
# not enough, for the kernel uses pids again.
running_pid() {
  local state=$1 name=$2 pid exe argument
  pid=$(cat "$state/pids/$name" 2>/dev/null) || return 1
  exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
  exe=${exe% (deleted)}
  [[ ${exe##*/} == "$name" ]] || return 1
  while IFS= read -r -d '' argument; do
    # Every process is given at least one path below its state directory.
    if [[ $argument == *"$state/"* ]]; then
      echo "$pid"
      return 0
    fi
  done 2>/dev/null <"/proc/$pid/cmdline"
  return 1
}

# stop_all STATE: ends every process of the state directory, politely first.
# Nothing in a test cluster is worth a long shutdown.
stop_all() {
  local state=$1 name pid deadline
  for name in "${CLUSTER_PROCESSES[@]}"; do
    if pid=$(running_pid "$state" "$name"); then
      kill -TERM "$pid" 2>/dev/null || true
    fi
  done
  deadline=$((SECONDS + 3))
  for name in "${CLUSTER_PROCESSES[@]}"; do
    while pid=$(running_pid "$state" "$name"); do
      if ((SECONDS >= deadline)); then
        kill -KILL "$pid" 2>/dev/null || true
      fi
      sleep 0.05
    done
    rm -f "$state/pids/$name"
  done
}
