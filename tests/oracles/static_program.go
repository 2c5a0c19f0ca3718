// A program that knows nothing of the bench: I2C, SPI, GPIO and a tty from Go, which calls the kernel
// without libc, from eight goroutines.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

type transfer struct {
	tx, rx                          uint64
	length, speed                   uint32
	delay                           uint16
	bits, change, txn, rxn, wd, pad uint8
}

func open(path string) *os.File {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	return file
}

func ioctl(file *os.File, request, argument uintptr) int {
	n, _, err := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, argument)
	if err != 0 {
		panic(err)
	}
	return int(n)
}

func identity() string {
	bus := open("/dev/i2c-1")
	defer bus.Close()
	ioctl(bus, 0x0703, 0x48)
	in := make([]byte, 2)
	for i := 0; i < 200; i++ {
		if _, err := bus.Write([]byte{0x0f}); err != nil {
			return err.Error()
		}
		if n, err := bus.Read(in); n != 2 || err != nil {
			return fmt.Sprint(n, err)
		}
	}
	return fmt.Sprintf("%x", in)
}

func main() {
	var all sync.WaitGroup
	found := make([]string, 8)
	for i := range found {
		all.Add(1)
		go func(i int) {
			found[i] = identity()
			all.Done()
		}(i)
	}
	all.Wait()
	fmt.Println("i2c", strings.Join(found, " "))
	bus := open("/dev/spidev0.0")
	tx, rx := [4]byte{0x9f}, [4]byte{}
	one := transfer{tx: uint64(uintptr(unsafe.Pointer(&tx))), rx: uint64(uintptr(unsafe.Pointer(&rx))), length: 4}
	n := ioctl(bus, 0x40206b00, uintptr(unsafe.Pointer(&one)))
	fmt.Printf("spi %d %x\n", n, rx[1:])
	var info [68]byte
	ioctl(open("/dev/gpiochip0"), 0x8044b401, uintptr(unsafe.Pointer(&info)))
	fmt.Println("gpio", info[64])
	lines := bufio.NewScanner(open("/dev/ttyAMA1"))
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "$GN") {
	}
	fmt.Println("tty", lines.Text()[:3])
}
