// node-work is the only program in the images of the real node. As "pause" it
// holds a pod's sandbox. Else it does what its arguments say, one after the other:
//
//	mem=200Mi   holds that much anonymous memory in all, each page written
//	cpu=0.5     burns that many cores from then on
//	file=100Mi  writes a file of that size and reads it: page cache
//	for=20s     lets time pass
//	run="..."   does arguments in a process of its own, which may be killed alone
//	exit=3      ends with that code
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	mebibyte = 1 << 20
	page     = 4096
	turn     = 100 * time.Millisecond
)

var (
	held       [][]byte
	thousandth atomic.Int64 // of a core, to burn
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "pause" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
		<-stop
		return
	}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		os.Exit(128 + int(syscall.SIGTERM))
	}()
	for core := int64(0); core < 8; core++ {
		go burn(core)
	}
	for _, argument := range os.Args[1:] {
		verb, value, _ := strings.Cut(argument, "=")
		fmt.Println(time.Now().UTC().Format(time.RFC3339), argument)
		do(verb, value)
	}
}

func do(verb, value string) {
	switch verb {
	case "mem":
		hold(mebibytes(value))
	case "cpu":
		thousandth.Store(int64(number(value) * 1000))
	case "file":
		writeAndRead(mebibytes(value))
	case "for":
		duration, err := time.ParseDuration(value)
		check(err)
		time.Sleep(duration)
	case "run":
		child := exec.Command("/proc/self/exe", strings.Fields(value)...)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		fmt.Println("the process ended:", child.Run())
	case "exit":
		os.Exit(int(number(value)))
	default:
		check(fmt.Errorf("unknown argument %q", verb))
	}
}

// hold maps a MiB at a time, so that a limit is met at it and not far above.
func hold(want int) {
	for len(held) < want {
		block, err := syscall.Mmap(-1, 0, mebibyte, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		check(err)
		for at := 0; at < mebibyte; at += page {
			block[at] = 1
		}
		held = append(held, block)
	}
	for len(held) > want {
		last := len(held) - 1
		check(syscall.Munmap(held[last]))
		held = held[:last]
	}
}

func writeAndRead(mebi int) {
	file, err := os.Create("/tmp/file")
	check(err)
	block := make([]byte, mebibyte)
	for range mebi {
		_, err = file.Write(block)
		check(err)
	}
	check(file.Sync())
	_, err = file.Seek(0, io.SeekStart)
	check(err)
	for range mebi {
		_, err = io.ReadFull(file, block)
		check(err)
	}
	check(file.Close())
}

// burn takes the share that falls to one core.
func burn(core int64) {
	for {
		share := min(thousandth.Load()-core*1000, 1000)
		if share <= 0 {
			time.Sleep(turn / 2)
			continue
		}
		busy := turn * time.Duration(share) / 1000
		for until := time.Now().Add(busy); time.Now().Before(until); {
		}
		time.Sleep(turn - busy)
	}
}

func mebibytes(text string) int { return int(number(strings.TrimSuffix(text, "Mi"))) }

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "work:", err)
		os.Exit(2)
	}
}
