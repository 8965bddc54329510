module podfit/tests/cluster/tools/helper

go 1.24
