module podfit/tests/cluster/tools/node-work

go 1.24
