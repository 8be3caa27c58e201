//go:build !linux

package outagetest

import "testing"

// A disk is a small file system of its own, which is mounted on Linux only.
type disk struct{}

func mountDisk(*testing.T, string, int) *disk { return nil }

func (*disk) fill() {}

func (*disk) free() {}
