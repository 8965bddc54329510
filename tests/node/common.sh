# shellcheck shell=bash
# Sourced by up and down: names, and which process is the node's.

# A name that is an address becomes the node's address, even one of the loopback
# interface, which the kubelet's --node-ip refuses.
# shellcheck disable=SC2034 # used by up
NODE_NAME=127.0.0.1

# In the state directory: this is a node's, and the cgroup that the node has on the
# machine (`/` where it has a kernel of its own).
NODE_MARKER=.podfit-node

# shellcheck disable=SC2034 # used by up
NODE_TOOLS=(kubelet containerd containerd-shim-runc-v2 ctr node-work node-forward)
# shellcheck disable=SC2034 # used by up
NODE_CACHE=${PODFIT_CLUSTER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/podfit-cluster}/node

CGROUP_CONTROLLERS=(cpu cpuacct cpuset memory devices freezer blkio pids systemd unified)

fault() {
  echo "node: $*" >&2
  exit 1
}
cannot_run_here() {
  echo "cannot run here: $*" >&2
  exit 3
}

# node_pid STATE: prints the pid of the node's outermost process if it is alive and
# still that of this state directory: the kernel uses pids again.
node_pid() {
  local pid
  pid=$(cat "$1/pids/node" 2>/dev/null) || return 1
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$1" && echo "$pid"
}

# host_cgroup STATE: the cgroup of this state directory's node.
host_cgroup() { echo "/podfit-node-$(sha256sum <<<"$1" | cut -c1-8)"; }

make_host_cgroups() {
  local controller file
  for controller in "${CGROUP_CONTROLLERS[@]}"; do
    [[ ! -d /sys/fs/cgroup/$controller ]] || mkdir -p "/sys/fs/cgroup/$controller$1"
  done
  for file in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset$1/$file"
  done
}

# remove_host_cgroups CGROUP: what the kernel has not let go of yet is tried again.
remove_host_cgroups() {
  local controller try
  for controller in "${CGROUP_CONTROLLERS[@]}"; do
    for ((try = 0; try < 50; try++)); do
      [[ -d /sys/fs/cgroup/$controller$1 ]] || break
      find "/sys/fs/cgroup/$controller$1" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
    [[ ! -d /sys/fs/cgroup/$controller$1 ]] || echo "node: left behind: /sys/fs/cgroup/$controller$1" >&2
  done
}
