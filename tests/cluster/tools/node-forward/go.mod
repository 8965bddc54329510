module podfit/tests/cluster/tools/node-forward

go 1.24
