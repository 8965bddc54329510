# shellcheck shell=bash
# shellcheck disable=SC2154 # state, kernel and the programs are up's
# Sourced by up: the node's files, all below its state directory.

# write_node_files KUBELET_PORT
write_node_files() {
  local node=$state/node
  mkdir -p "$node"/{bin,etc/cni,images,log,containerd,kubelet,var-lib,run,sysctl}
  chmod 711 "$node" # pods' users pass through it
  local program
  for program in "$kubelet" "$containerd" "$shim" "$ctr" "$runc"; do
    ln -f "$program" "$node/bin/" 2>/dev/null || cp "$program" "$node/bin/"
  done
  write_image registry.podfit.test/pause:1 "$node/images/pause.tar" /work pause
  write_image registry.podfit.test/work:1 "$node/images/work.tar" /work
  write_containerd_config "$node"
  write_network "$node"
  write_kubelet_config "$node" "$1"
  # What the kubelet wants to find in /proc/sys.
  echo 1 >"$node/sysctl/vm.overcommit_memory"
  echo 0 >"$node/sysctl/vm.panic_on_oom"
  echo 10 >"$node/sysctl/kernel.panic"
  echo 1 >"$node/sysctl/kernel.panic_on_oops"
  echo 1000000 >"$node/sysctl/kernel.keys.root_maxkeys"
  echo 25000000 >"$node/sysctl/kernel.keys.root_maxbytes"
}

# write_image NAME FILE ENTRYPOINT...: an image of one layer that holds the program
# `work` and /tmp, in the form of `docker save`.
write_image() {
  local name=$1 file=$2 folder entrypoint digest
  shift 2
  entrypoint=$(printf ',"%s"' "$@")
  folder=$(mktemp -d)
  mkdir -p "$folder/layer/tmp"
  chmod 1777 "$folder/layer/tmp"
  install -m 755 "$work" "$folder/layer/work"
  tar -C "$folder/layer" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$folder/layer.tar" .
  digest=$(sha256sum "$folder/layer.tar" | cut -d' ' -f1)
  cat >"$folder/config.json" <<JSON
{"architecture": "amd64", "os": "linux", "config": {"Entrypoint": [${entrypoint:1}], "User": "65534:65534"},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}, "history": [{"created": "1970-01-01T00:00:00Z"}]}
JSON
  echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$name\"], \"Layers\": [\"layer.tar\"]}]" >"$folder/manifest.json"
  tar -C "$folder" -cf "$file" manifest.json config.json layer.tar
  rm -rf "$folder"
}

write_containerd_config() {
  local node=$1
  cat >"$node/etc/containerd.toml" <<TOML
version = 3
root = "$node/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "registry.podfit.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  # Some machines lack CAP_SYS_RESOURCE: no process's score can be lowered there.
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_cdi = false
  enable_unprivileged_ports = false
  enable_unprivileged_icmp = false
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "$node/bin/${runc##*/}"
        SystemdCgroup = false
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$node/bin"]
    conf_dir = "$node/etc/cni"
    use_internal_loopback = true
TOML
}

# A pod gets a network namespace with nothing but lo, and an address that only its
# status knows: what needs a network uses hostNetwork.
write_network() {
  local node=$1
  echo '{"cniVersion": "1.0.0", "name": "none", "plugins": [{"type": "podfit-none"}]}' >"$node/etc/cni/10-none.conflist"
  cat >"$node/bin/podfit-none" <<'CNI'
#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
  VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ;;
  ADD)
    n=$(printf %s "$CNI_CONTAINERID" | cksum | cut -d' ' -f1)
    cat <<JSON
{"cniVersion": "1.0.0", "interfaces": [{"name": "$CNI_IFNAME", "sandbox": "$CNI_NETNS"}],
 "ips": [{"address": "10.244.$((n / 250 % 250)).$((n % 250 + 2))/16", "interface": 0}]}
JSON
    ;;
esac
CNI
  chmod 755 "$node/bin/podfit-none"
}

# All that an eviction or a clean-up could disturb is off: what ends a pod is its
# own doing or the kernel's.
write_kubelet_config() {
  local node=$1 port=$2 cgroup
  cgroup=$(cat "$state/$NODE_MARKER")
  cat >"$node/etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: $port
healthzPort: 0
readOnlyPort: 0
tlsCertFile: $state/pki/server.crt
tlsPrivateKeyFile: $state/pki/server.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $state/pki/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
enforceNodeAllocatable: []
protectKernelDefaults: true
makeIPTablesUtilChains: false
oomScoreAdj: 0
evictionHard:
  {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podLogsDir: $node/log/pods
resolvConf: /dev/null
clusterDNS: [10.96.0.10] # nobody answers there; without it every pod gets a warning
localStorageCapacityIsolation: false
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
volumeStatsAggPeriod: -1s
shutdownGracePeriod: 0s
crashLoopBackOff: {maxContainerRestartPeriod: 5s}
YAML
}
